// Keycloak in authz's place: people at its own login and consent pages, with clients that others wrote.
// Tokens live a few seconds here, so that refreshing is seen.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { App, enter, journal, kinds } from './app.mjs';
import { visitor, walk } from './human.mjs';
import { admin, claims, header, registered } from './keycloak.mjs';
import { echoed, issuer, mcp, origin } from './setting.mjs';
import { authorizationRequest, callUntilRefused, discover, redeem, refresh, register } from './whole-way.mjs';
import { challenge, hello, request, sum } from './wire.mjs';

const MOST_SECONDS = 30;
const everything = 'mcp:read mcp:write';

before(() => admin('PUT', '', { accessTokenLifespan: 3 }));
after(() => admin('PUT', '', { accessTokenLifespan: 600 }));

const redirectUri = 'http://127.0.0.1:3919/callback';

// The registered redirect URI has no port, the one used has.
const registerNative = (server) => register(server, {
  application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none',
});

// One round over the pages.
const logIn = async (server, client, scope, { redirectUri: other = redirectUri, ...person } = {}) => {
  const asked = await authorizationRequest(server, client, scope, other);
  const { callback, seen } = await walk(asked.url, { ...visitor(), ...person });
  return { callback, seen, redeem: () => redeem(server, client, callback, asked) };
};

for (const [name, client, type] of [
  ['a client that registers itself', undefined, 'JWT'],
  ['the public client of the kit', { client_id: 'mcp-client', token_endpoint_auth_method: 'none' }, 'at+jwt'],
]) {
  test(`oauth4webapi goes the whole way as ${name}`, async () => {
    const nobody = await challenge(request('no-such-token', 'tools/list'), 401);
    assert.equal(nobody.resource_metadata, `${origin}/.well-known/oauth-protected-resource/mcp`);
    const server = await discover();
    const known = client ?? (await registerNative(server));

    const first = await logIn(server, known, 'mcp:read');
    assert.deepEqual(first.seen, ['login', 'consent']);
    assert.equal(first.callback.searchParams.get('iss'), issuer);
    const narrow = await first.redeem();
    assert.deepEqual([header(narrow.access_token).alg, header(narrow.access_token).typ], ['ES256', type]);
    assert.equal(claims(narrow.access_token).aud, mcp.href);
    await request(narrow.access_token, 'tools/call', hello);
    const refused = await challenge(request(narrow.access_token, 'tools/call', sum), 403);
    assert.equal(refused.error, 'insufficient_scope');

    const second = await logIn(server, known, refused.scope);
    // The wider scope is asked for on the consent page.
    assert.deepEqual(second.seen, ['login', 'consent']);
    const wide = await second.redeem();
    await request(wide.access_token, 'tools/call', sum);

    assert.equal((await callUntilRefused(wide.access_token)).error, 'invalid_token');
    const fresh = await refresh(server, known, wide);
    assert.notEqual(fresh.refresh_token, wide.refresh_token);
    await request(fresh.access_token, 'tools/call', sum);
    // Rotation: the spent one is refused, and the family ends with it.
    await assert.rejects(refresh(server, known, wide), (error) => error.error === 'invalid_grant');
    await assert.rejects(refresh(server, known, fresh), (error) => error.error === 'invalid_grant');
  });
}

test('the resource server knows the person, their roles and the client', async () => {
  const server = await discover();
  const client = { client_id: 'mcp-client', token_endpoint_auth_method: 'none' };
  const { access_token: token } = await (await logIn(server, client, 'mcp:read offline_access profile')).redeem();
  const answer = await fetch(`${origin}/api/v1/me`, { headers: { Authorization: `Bearer ${token}` } });
  const me = await answer.json();
  assert.deepEqual([me.client_id, me.roles], ['mcp-client', ['offline_access']]);
  assert.equal(claims(token).preferred_username, 'demo');
});

test('a person who says no sends the client an error with the issuer', async () => {
  const server = await discover();
  const { callback } = await logIn(server, await registerNative(server), 'mcp:read', { decision: 'deny' });
  assert.equal(callback.searchParams.get('error'), 'access_denied');
  assert.equal(callback.searchParams.get('iss'), issuer);
});

test('a code request without PKCE or with plain is refused, for every client', async () => {
  const server = await discover();
  for (const client of [await registerNative(server), { client_id: 'mcp-client' }]) {
    for (const proof of [{}, { code_challenge: 'a'.repeat(43), code_challenge_method: 'plain' }]) {
      const url = new URL(server.authorization_endpoint);
      url.search = new URLSearchParams({
        client_id: client.client_id, redirect_uri: redirectUri, response_type: 'code', scope: 'mcp:read', ...proof,
      });
      const answer = await fetch(url, { redirect: 'manual' });
      assert.equal(new URL(answer.headers.get('location')).searchParams.get('error'), 'invalid_request');
    }
  }
});

test('a client that registered for one scope gets no other later', async () => {
  const server = await discover();
  const client = await registered({
    token_endpoint_auth_method: 'none', redirect_uris: ['http://127.0.0.1/callback'], scope: 'mcp:read',
  });
  const { callback } = await logIn(server, client, everything).catch((error) => ({ callback: error }));
  assert.match(String(callback), /invalid_scope/);
});

// Keycloak's guard against guessing refuses a person who logs in twice at the same moment.
let turn = Promise.resolve();
const inTurn = (visit) => (turn = turn.catch(() => {}).then(visit));

class PatientApp extends App {
  letIn(...untick) {
    return inTurn(() => super.letIn(...untick));
  }
}

// Gives the app a token with fewer scopes, as if its person had been asked for less at first.
const narrow = async (app, scope) => {
  const server = await discover();
  const login = await inTurn(() => logIn(server, app.clientInformation(), scope, { redirectUri: app.redirectUrl }));
  app.saveTokens(await login.redeem());
};

describe('The official SDK with a person at Keycloak', { concurrency: 4 }, () => {
  for (const method of ['none', 'client_secret_post', undefined]) {
    for (const kind of kinds) {
      test(`${kind.name} goes the whole way, registered for ${method ?? 'no method in particular'}`, async () => {
        const [app, wire] = [new PatientApp(method), journal()];
        const { client, transport } = await enter(kind, app, wire);
        assert.equal(kind.revisionOf({ client, transport }), kind.revision);
        const { tools } = await client.listTools();
        assert.ok(tools.some(({ name }) => name === 'calculate'));
        assert.notEqual((await client.callTool(sum)).isError, true);

        const refreshes = () => wire.lines.filter((line) => /\/token refresh_token 200$/.test(line)).length;
        const end = Date.now() + MOST_SECONDS * 1000;
        while (refreshes() === 0) {
          assert.ok(Date.now() < end, `no refresh in ${MOST_SECONDS} seconds: ${wire.lines.slice(0, 20)}`);
          assert.equal(echoed(await client.callTool(hello)), 'hello');
        }
        await client.close();
      });
    }
  }

  for (const kind of kinds.filter(({ stepsUp }) => stepsUp)) {
    test(`${kind.name} sends its person for the scope that a challenge names`, async () => {
      const [app, wire] = [new PatientApp('none'), journal()];
      const { client, transport } = await enter(kind, app, wire);
      await narrow(app, 'mcp:read');
      assert.equal(app.tokens().scope, 'mcp:read');
      await assert.rejects(client.callTool(sum), kind.Unauthorized);
      assert.match(app.sentTo.searchParams.get('scope'), /mcp:write/);
      await kind.finish(transport, await app.letIn());
      assert.notEqual((await client.callTool(sum)).isError, true);
      await client.close();
    });
  }
});
