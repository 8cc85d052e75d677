// Keycloak in authz's place: programs that act for themselves, and whom its registration lets in.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Client, ClientCredentialsProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import * as oauth from 'oauth4webapi';

import { claims, header, registered } from './keycloak.mjs';
import { clientId, clientSecret, echoed, issuer, mcp, origin } from './setting.mjs';
import { challenge, hello, loopback, request, sum } from './wire.mjs';

const discover = async (algorithm) => {
  const at = new URL(issuer);
  return oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm, ...loopback }));
};

const token = async (client, secret, scope) => {
  const server = await discover('oauth2');
  const parameters = { scope, resource: mcp.href };
  const proof = oauth.ClientSecretBasic(secret);
  const response = await oauth.clientCredentialsGrantRequest(server, { client_id: client }, proof, parameters, loopback);
  return oauth.processClientCredentialsResponse(server, { client_id: client }, response);
};

const me = async (accessToken) => {
  const response = await fetch(`${origin}/api/v1/me`, { headers: { Authorization: `Bearer ${accessToken}` } });
  assert.equal(response.status, 200, await response.clone().text());
  return response.json();
};

for (const algorithm of ['oauth2', 'oidc']) {
  test(`oauth4webapi accepts the issuer's metadata (${algorithm})`, async () => {
    const server = await discover(algorithm);
    assert.ok(server.code_challenge_methods_supported.includes('S256'));
    assert.equal(server.authorization_response_iss_parameter_supported, true);
    assert.ok(['basic', 'machine'].every((scope) => !server.scopes_supported.includes(scope)));
  });
}

test('a token of client credentials is an at+jwt for this resource alone, and the resource takes it', async () => {
  const { access_token: accessToken, scope } = await token(clientId, clientSecret, 'mcp:read');
  assert.deepEqual([header(accessToken).typ, header(accessToken).alg], ['at+jwt', 'ES256']);
  assert.equal(claims(accessToken).aud, mcp.href);
  assert.equal(scope, 'mcp:read');
  const caller = await me(accessToken);
  assert.equal(caller.client_id, clientId);
  await request(accessToken, 'tools/call', hello);
});

test('a token without the scope of a tool is refused with the scopes it needs, and a wider one is taken', async () => {
  const narrow = await token(clientId, clientSecret, 'mcp:read');
  const refused = await challenge(request(narrow.access_token, 'tools/call', sum), 403);
  assert.equal(refused.error, 'insufficient_scope');
  assert.match(refused.scope, /mcp:write/);
  const wide = await token(clientId, clientSecret, refused.scope);
  await request(wide.access_token, 'tools/call', sum);
});

for (const [path, scope] of [['read', 'mcp:read'], ['write', 'mcp:write'], ['infer', 'mcp:infer']]) {
  test(`the scope ${scope} opens /api/v1/protected/${path}`, async () => {
    const { access_token: accessToken } = await token(clientId, clientSecret, scope);
    const headers = { Authorization: `Bearer ${accessToken}` };
    assert.equal((await fetch(`${origin}/api/v1/protected/${path}`, { headers })).status, 200);
  });
}

test('SDK 2.x gets a token and calls a tool', async () => {
  const authProvider = new ClientCredentialsProvider({ clientId, clientSecret, expectedIssuer: issuer, scope: 'mcp:read' });
  const client = new Client({ name: 'sdk2', version: '1' }, { versionNegotiation: { mode: 'auto' } });
  await client.connect(new StreamableHTTPClientTransport(mcp, { authProvider }));
  assert.equal(echoed(await client.callTool(hello)), 'hello');
  await client.close();
});

test('a wrong secret, an unknown scope and a token for no resource of ours get nothing', async () => {
  await assert.rejects(token(clientId, 'wrong', 'mcp:read'));
  await assert.rejects(token(clientId, clientSecret, 'no:such'), (error) => error.error === 'invalid_scope');
  const refused = await challenge(request('eyJhbGciOiJub25lIn0.e30.', 'tools/list'), 401);
  assert.equal(refused.error, 'invalid_token');
});

const anyone = { token_endpoint_auth_method: 'none' };

for (const redirect of ['http://127.0.0.1/callback', 'http://localhost:3000/callback', 'https://claude.ai/api/mcp/auth_callback']) {
  test(`a stranger may register ${redirect}, with PKCE and a consent page`, async () => {
    assert.equal((await registered({ ...anyone, redirect_uris: [redirect] })).status, 201);
  });
}

for (const redirect of [
  'https://evil.example/callback',
  'http://evil.example/callback',
  'https://claude.ai.evil.example/callback',
  'https://claude.ai@evil.example/callback',
  'https://localhost.evil.example/callback',
  'https://claude.ai/*',
  'http://127.0.0.1/callback#fragment',
  'javascript:alert(1)',
  'cursor://evil/callback',
]) {
  test(`a stranger may not register ${redirect}`, async () => {
    const refused = await registered({ ...anyone, redirect_uris: [redirect] });
    assert.ok([400, 403].includes(refused.status), JSON.stringify(refused));
  });
}

test('a stranger who registers for client credentials gets no token', async () => {
  const client = await registered({ grant_types: ['client_credentials'], scope: 'mcp:read mcp:write' });
  assert.equal(client.status, 201);
  await assert.rejects(token(client.client_id, client.client_secret, 'mcp:read'), (error) => error.error === 'invalid_request');
  const wanted = await registered({ grant_types: ['client_credentials'], scope: 'mcp:read machine' });
  assert.equal(wanted.status, 403);
});

test('a page may register from the origin that the kit names, and from no other', async () => {
  const metadata = { ...anyone, redirect_uris: ['http://localhost:6274/oauth/callback'] };
  assert.equal((await registered(metadata, { Origin: 'http://localhost:6274' })).status, 201);
  assert.equal((await registered(metadata, { Origin: 'https://evil.example' })).status, 403);
});

test('a page may redeem codes from the origin that the kit names, and from no other', async () => {
  const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: 'mcp-client', code: 'no-such' });
  const answer = (origin) => fetch(`${issuer}/protocol/openid-connect/token`, { method: 'POST', headers: { Origin: origin }, body });
  const ours = await answer('http://localhost:6274');
  assert.deepEqual([ours.status, ours.headers.get('access-control-allow-origin')], [400, 'http://localhost:6274']);
  assert.equal((await answer('https://evil.example')).headers.get('access-control-allow-origin'), null);
});
