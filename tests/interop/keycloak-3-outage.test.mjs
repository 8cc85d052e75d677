// Keycloak in authz's place: its keys change while calls go on; it stops, and comes back. The resource
// server keeps its keys for five seconds here, and asks for new ones at most once a second.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { promisify } from 'node:util';

import { admin, header } from './keycloak.mjs';
import { clientId, clientSecret, issuer, origin } from './setting.mjs';

const MOST_SECONDS = 60;
const keyProvider = 'org.keycloak.keys.KeyProvider';
const keycloak = (word) => promisify(execFile)('scripts/keycloak', [word], { cwd: process.env.ROOT });

const token = async () => {
  const body = new URLSearchParams({
    grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope: 'mcp:read',
  });
  const response = await fetch(`${issuer}/protocol/openid-connect/token`, { method: 'POST', body });
  assert.equal(response.status, 200);
  return (await response.json()).access_token;
};

const call = async (accessToken) => {
  const headers = { Authorization: `Bearer ${accessToken}`, 'Content-Type': 'application/json' };
  const url = `${origin}/api/v1/tools/echo`;
  return (await fetch(url, { method: 'POST', headers, body: '{"message": "hello"}' })).status;
};

// Calls again until the status is the one wanted; returns how many milliseconds that took.
const until = async (wanted, accessToken) => {
  const began = Date.now();
  for (;;) {
    const status = await call(accessToken);
    if (status === wanted) return Date.now() - began;
    assert.ok(Date.now() - began < MOST_SECONDS * 1000, `still ${status}, not ${wanted}`);
    await after(50);
  }
};

// Calls without a pause until told to end; counts what was not a success.
const callsGoOn = (...tokens) => {
  const count = { calls: 0, failed: 0 };
  let going = true;
  const loop = (async () => {
    while (going) {
      for (const one of tokens) {
        count.calls += 1;
        count.failed += (await call(one)) === 200 ? 0 : 1;
      }
      await after(5);
    }
  })();
  return async () => {
    going = false;
    await loop;
    return count;
  };
};

const signingKeys = () => admin('GET', `/components?type=${keyProvider}`).then((all) => all.filter(({ providerId }) => providerId === 'ecdsa-generated'));

// A new key that signs from now on; the ones before stay in the set.
const rotate = async () => {
  const priorities = (await signingKeys()).map(({ config }) => Number(config.priority[0]));
  const priority = Math.max(...priorities) + 1;
  const config = { priority: [String(priority)], ecdsaEllipticCurveKey: ['P-256'] };
  await admin('POST', '/components', { name: `es256-${priority}`, providerId: 'ecdsa-generated', providerType: keyProvider, config });
};

test('the key changes while calls go on, and no call fails', async (context) => {
  const old = await token();
  const [before] = await signingKeys();
  const stop = callsGoOn(old);
  await rotate();
  const fresh = await token();
  assert.notEqual(header(fresh).kid, header(old).kid);
  assert.equal(await call(fresh), 200);
  const stopFresh = callsGoOn(fresh, old);
  await after(1000);
  for (const { calls, failed } of [await stop(), await stopFresh()]) {
    context.diagnostic(`${calls} calls, ${failed} failed`);
    assert.ok(calls > 20);
    assert.equal(failed, 0);
  }

  // What the old key signed ends when the key leaves the set.
  await admin('DELETE', `/components/${before.id}`);
  const took = await until(401, old);
  context.diagnostic(`refused ${took} ms after its key was withdrawn`);
  assert.ok(took < 10_000);
  assert.equal(await call(fresh), 200);
});

test('while Keycloak is down known tokens pass and unknown keys do not, and it heals by itself', async (context) => {
  const known = await token();
  assert.equal(await call(known), 200);
  await rotate();
  const unseen = await token();
  assert.notEqual(header(unseen).kid, header(known).kid);
  await keycloak('stop');
  await assert.rejects(fetch(issuer));

  const stop = callsGoOn(known);
  const refused = await call(unseen);
  context.diagnostic(`a token of an unknown key gets ${refused} while the issuer is down`);
  assert.ok([401, 503].includes(refused));
  // Longer than the keys are fresh: they are used on while nobody can be asked.
  await after(6000);
  assert.notEqual(await call(unseen), 200);
  assert.equal((await fetch(`${origin}/readyz`)).status, 200);

  const began = Date.now();
  await keycloak('start');
  context.diagnostic(`Keycloak came back in ${Date.now() - began} ms`);
  context.diagnostic(`its new key is taken ${await until(200, unseen)} ms later`);
  const { calls, failed } = await stop();
  context.diagnostic(`${calls} calls, ${failed} failed`);
  assert.equal(failed, 0);
  assert.equal(await call(await token()), 200);
});
