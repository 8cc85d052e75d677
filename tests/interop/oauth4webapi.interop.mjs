// oauth4webapi: a strict OAuth client that others wrote. It checks the metadata of resource and
// issuer and the token response against the specifications, and refuses what deviates.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as oauth from 'oauth4webapi';

import { clientId, clientSecret, issuer, mcp } from './setting.mjs';

// The server under test listens on loopback without TLS.
const loopback = { [oauth.allowInsecureRequests]: true };
const client = { client_id: clientId };

const discover = async (algorithm) => {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm, ...loopback });
  return oauth.processDiscoveryResponse(new URL(issuer), response);
};

const token = async (server, authentication, parameters) => {
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    authentication,
    parameters,
    loopback,
  );
  return oauth.processClientCredentialsResponse(server, client, response);
};

test('oauth4webapi accepts the metadata of the resource and follows it to the issuer', async () => {
  const response = await oauth.resourceDiscoveryRequest(mcp, loopback);
  const resource = await oauth.processResourceDiscoveryResponse(mcp, response);
  assert.deepEqual(resource.authorization_servers, [issuer]);
});

for (const algorithm of ['oauth2', 'oidc']) {
  test(`oauth4webapi accepts the issuer's metadata (${algorithm})`, async () => {
    const server = await discover(algorithm);
    assert.ok(server.grant_types_supported.includes('client_credentials'));
    assert.deepEqual(server.code_challenge_methods_supported, ['S256']);
  });
}

test('oauth4webapi gets a token with client_secret_basic, and the resource takes it', async () => {
  const server = await discover('oauth2');
  const basic = oauth.ClientSecretBasic(clientSecret);
  const answer = await token(server, basic, { scope: 'mcp:read', resource: mcp.href });
  assert.equal(answer.token_type, 'bearer');
  assert.equal(answer.scope, 'mcp:read');
  const me = new URL(`${issuer}/api/v1/me`);
  const nothing = undefined;
  const call = await oauth.protectedResourceRequest(answer.access_token, 'GET', me, nothing, nothing, loopback);
  assert.equal((await call.json()).client_id, clientId);
});

test('oauth4webapi reads the refusals of the token endpoint', async () => {
  const server = await discover('oauth2');
  const refused = (authentication, parameters, code) =>
    assert.rejects(token(server, authentication, parameters), (error) => error.error === code);
  const basic = oauth.ClientSecretBasic(clientSecret);
  await refused(basic, { scope: 'no:such' }, 'invalid_scope');
  await refused(basic, { resource: 'https://elsewhere.example/mcp' }, 'invalid_target');
  await assert.rejects(
    token(server, oauth.ClientSecretBasic('wrong'), {}),
    (error) => error instanceof oauth.WWWAuthenticateChallengeError || error.error === 'invalid_client',
  );
  // The client is registered for the Basic header, and only for that.
  await refused(oauth.ClientSecretPost(clientSecret), {}, 'invalid_client');
});
