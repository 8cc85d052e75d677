// oauth4webapi goes the whole way with a person. It checks every answer against the specifications, and refuses what deviates.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as oauth from 'oauth4webapi';

import { visitor, walk } from './human.mjs';
import { issuer } from './setting.mjs';
import { authorizationRequest, callUntilRefused, discover, methods, proofOf, redeem, refresh, register } from './whole-way.mjs';
import { challenge, hello, loopback, request, sum } from './wire.mjs';

const redirectUri = 'http://127.0.0.1:3918/callback';

// One round over the forms.
const logIn = async (server, client, scope, ...untick) => {
  const asked = await authorizationRequest(server, client, scope, redirectUri);
  const { callback, seen } = await walk(asked.url, { ...visitor(), untick });
  assert.deepEqual(seen, ['login', 'consent']);
  return redeem(server, client, callback, asked);
};

const revoke = async (server, client, token) => {
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, proofOf(client), token, loopback));
};

describe('oauth4webapi with a person', { concurrency: 2 }, () => {
  for (const method of methods) {
    test(`oauth4webapi goes the whole way, registered for ${method}`, async () => {
      const nobody = await challenge(request('no-such-token', 'tools/list'), 401);
      // The challenge names the document; the library makes the same address from the identifier.
      assert.equal(nobody.resource_metadata, `${issuer}/.well-known/oauth-protected-resource/mcp`);
      const server = await discover();
      const client = await register(server, { redirect_uris: [redirectUri], token_endpoint_auth_method: method });
      assert.equal(client.token_endpoint_auth_method, method);

      const narrow = await logIn(server, client, 'mcp:read mcp:write', 'mcp:write');
      assert.equal(narrow.scope, 'mcp:read');
      const { tools } = await request(narrow.access_token, 'tools/list');
      assert.ok(tools.some(({ name }) => name === 'calculate'));
      await request(narrow.access_token, 'tools/call', hello);
      const refused = await challenge(request(narrow.access_token, 'tools/call', sum), 403);
      assert.equal(refused.error, 'insufficient_scope');
      assert.match(refused.scope, /mcp:write/);

      const wide = await logIn(server, client, refused.scope);
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
