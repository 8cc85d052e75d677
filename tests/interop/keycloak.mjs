// What only tests with Keycloak need: its admin API, and its tokens read without any check.

import assert from 'node:assert/strict';

import { issuer } from './setting.mjs';

const { KEYCLOAK_URL: url, KEYCLOAK_ADMIN_SECRET: secret } = process.env;
assert.ok(url && secret, 'KEYCLOAK_URL is not set: run scripts/keycloak-test');

const answer = async (response) => {
  const text = await response.text();
  assert.ok(response.ok, `${response.url} answers ${response.status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
};

const adminToken = async () => {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'kit', client_secret: secret });
  const response = await fetch(`${url}/realms/master/protocol/openid-connect/token`, { method: 'POST', body });
  return (await answer(response)).access_token;
};

// One request to the admin API of the realm.
export const admin = async (method, path, body) => {
  const headers = { Authorization: `Bearer ${await adminToken()}`, 'Content-Type': 'application/json' };
  return answer(await fetch(`${url}/admin/realms/mcp${path}`, { method, headers, body: body && JSON.stringify(body) }));
};

// What a stranger's registration gets: the metadata, or the status and the error.
export const registered = async (metadata, headers = {}) => {
  const response = await fetch(`${issuer}/clients-registrations/openid-connect`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ client_name: 'stranger', ...metadata }),
  });
  return { status: response.status, ...(await response.json().catch(() => ({}))) };
};

const part = (token, index) => JSON.parse(Buffer.from(token.split('.')[index], 'base64url').toString());
export const header = (token) => part(token, 0);
export const claims = (token) => part(token, 1);
