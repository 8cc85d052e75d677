// oauth4webapi goes the whole way with a person. It checks every answer against the specifications, and refuses what deviates.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as oauth from 'oauth4webapi';

import { visitor, walk } from './human.mjs';
import { issuer, mcp } from './setting.mjs';
import { challenge, hello, loopback, request, sum } from './wire.mjs';

const MOST_SECONDS = 30;
const redirectUri = 'http://127.0.0.1:3918/callback';

const found = async (resourceMetadata) => {
  // The challenge names the document; the library makes the same address from the identifier.
  assert.equal(resourceMetadata, `${issuer}/.well-known/oauth-protected-resource/mcp`);
  const answer = await oauth.resourceDiscoveryRequest(mcp, loopback);
  const resource = await oauth.processResourceDiscoveryResponse(mcp, answer);
  const at = new URL(resource.authorization_servers[0]);
  const response = await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...loopback });
  return oauth.processDiscoveryResponse(at, response);
};

const register = async (server, method) => {
  const metadata = {
    client_name: 'oauth4webapi',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: method,
  };
  const response = await oauth.dynamicClientRegistrationRequest(server, metadata, loopback);
  return oauth.processDynamicClientRegistrationResponse(response);
};

const authentication = {
  none: () => oauth.None(),
  client_secret_basic: (client) => oauth.ClientSecretBasic(client.client_secret),
  client_secret_post: (client) => oauth.ClientSecretPost(client.client_secret),
};

// One round over the forms: code, state and issuer are checked by the library.
const logIn = async (server, client, scope, ...untick) => {
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope,
    resource: mcp.href,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  const { callback, seen } = await walk(url, { ...visitor(), untick });
  assert.deepEqual(seen, ['login', 'consent']);
  return { parameters: oauth.validateAuthResponse(server, client, callback, state), verifier };
};

const redeem = async (server, client, { parameters, verifier }) => {
  const options = { ...loopback, additionalParameters: { resource: mcp.href } };
  const proof = authentication[client.token_endpoint_auth_method](client);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, proof, parameters, redirectUri, verifier, options,
  );
  return oauth.processAuthorizationCodeResponse(server, client, response);
};

const refresh = async (server, client, { refresh_token: token }) => {
  const proof = authentication[client.token_endpoint_auth_method](client);
  const response = await oauth.refreshTokenGrantRequest(server, client, proof, token, loopback);
  return oauth.processRefreshTokenResponse(server, client, response);
};

// Calls until the token has died, and returns the challenge.
const callUntilRefused = async (token) => {
  const end = Date.now() + MOST_SECONDS * 1000;
  for (;;) {
    assert.ok(Date.now() < end, `the token outlives ${MOST_SECONDS} seconds`);
    try {
      await request(token, 'tools/call', hello);
    } catch (error) {
      return challenge(Promise.reject(error), 401);
    }
  }
};

const revoke = async (server, client, token) => {
  const proof = authentication[client.token_endpoint_auth_method](client);
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proof, token, loopback));
};

describe('oauth4webapi with a person', { concurrency: 2 }, () => {
  for (const method of Object.keys(authentication)) {
    test(`oauth4webapi goes the whole way, registered for ${method}`, async () => {
      const nobody = await challenge(request('no-such-token', 'tools/list'), 401);
      const server = await found(nobody.resource_metadata);
      const client = await register(server, method);
      assert.equal(client.token_endpoint_auth_method, method);

      const narrow = await redeem(server, client, await logIn(server, client, 'mcp:read mcp:write', 'mcp:write'));
      assert.equal(narrow.scope, 'mcp:read');
      const { tools } = await request(narrow.access_token, 'tools/list');
      assert.ok(tools.some(({ name }) => name === 'calculate'));
      await request(narrow.access_token, 'tools/call', hello);
      const refused = await challenge(request(narrow.access_token, 'tools/call', sum), 403);
      assert.equal(refused.error, 'insufficient_scope');
      assert.match(refused.scope, /mcp:write/);

      const wide = await redeem(server, client, await logIn(server, client, refused.scope));
      await request(wide.access_token, 'tools/call', sum);
      const dead = await callUntilRefused(wide.access_token);
      assert.equal(dead.error, 'invalid_token');
      const fresh = await refresh(server, client, wide);
      assert.notEqual(fresh.refresh_token, wide.refresh_token);
      await request(fresh.access_token, 'tools/call', sum);

      await revoke(server, client, fresh.refresh_token);
      await assert.rejects(refresh(server, client, fresh), (error) => error.error === 'invalid_grant');
    });
  }
});
