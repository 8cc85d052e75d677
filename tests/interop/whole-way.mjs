// What oauth4webapi does on its way with a person; it checks every answer against the specifications, and
// refuses what deviates.

import assert from 'node:assert/strict';

import * as oauth from 'oauth4webapi';

import { mcp } from './setting.mjs';
import { challenge, hello, loopback, request } from './wire.mjs';

const MOST_SECONDS = 30;

const authentication = {
  none: () => oauth.None(),
  client_secret_basic: (client) => oauth.ClientSecretBasic(client.client_secret),
  client_secret_post: (client) => oauth.ClientSecretPost(client.client_secret),
};

export const methods = Object.keys(authentication);

// How a client shows who it is, by the method it registered.
export const proofOf = (client) => authentication[client.token_endpoint_auth_method ?? 'none'](client);

// From the resource to its authorization server.
export const discover = async () => {
  const answer = await oauth.resourceDiscoveryRequest(mcp, loopback);
  const resource = await oauth.processResourceDiscoveryResponse(mcp, answer);
  const at = new URL(resource.authorization_servers[0]);
  const response = await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...loopback });
  return oauth.processDiscoveryResponse(at, response);
};

export const register = async (server, particulars) => {
  const metadata = {
    client_name: 'oauth4webapi',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    ...particulars,
  };
  const response = await oauth.dynamicClientRegistrationRequest(server, metadata, loopback);
  return oauth.processDynamicClientRegistrationResponse(response);
};

// An authorization request, and what only its sender knows of it.
export const authorizationRequest = async (server, client, scope, redirectUri) => {
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
  return { url, state, verifier, redirectUri };
};

// The answer on its way back: issuer and state are checked when it is redeemed.
export const redeem = async (server, client, callback, { state, verifier, redirectUri }) => {
  const parameters = oauth.validateAuthResponse(server, client, callback, state);
  const options = { ...loopback, additionalParameters: { resource: mcp.href } };
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, proofOf(client), parameters, redirectUri, verifier, options,
  );
  return oauth.processAuthorizationCodeResponse(server, client, response);
};

export const refresh = async (server, client, { refresh_token: token }) => {
  const response = await oauth.refreshTokenGrantRequest(server, client, proofOf(client), token, loopback);
  return oauth.processRefreshTokenResponse(server, client, response);
};

// Calls until the token has died, and returns the challenge.
export const callUntilRefused = async (token) => {
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
