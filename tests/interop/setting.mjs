// Where the server under test is, and who we are; scripts/with-server sets these.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

const from = (name) => {
  const value = process.env[name];
  assert.ok(value, `${name} is not set: run scripts/interop`);
  return value;
};

export const origin = from('PORTCULLIS_URL');
export const mcp = new URL(`${origin}/mcp`);
// Somebody else's authorization server may stand in the place of our own.
export const issuer = process.env.ISSUER ?? origin;
export const clientId = from('CLIENT_ID');
export const clientSecret = from('CLIENT_SECRET');

// The site with a metadata document at every path; where there is one, nobody can register.
const documents = process.env.DOCUMENTS;

// The ways in which a client becomes known: by its document, or by a registration for each of these
// authentication methods.
export const known = (...methods) => (documents ? [{ by: 'its document' }] : methods.map(registeredFor));
const registeredFor = (method) => ({ by: `registration for ${method ?? 'no method in particular'}`, method });

// The document of one client alone, if it is known by one.
export const documentOf = (name) => documents && `${documents}/${name.replaceAll(/\W+/g, '-')}.json`;

// The server saw the document once, for it may keep it; and the client could not have registered.
export const assertKnownByDocument = async (document) => {
  const asked = (await readFile(from('DOCUMENTS_ASKED'), 'utf8')).split('\n');
  assert.equal(asked.filter((path) => path === new URL(document).pathname).length, 1, asked.join('\n'));
  const refused = await fetch(`${issuer}/register`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ redirect_uris: ['http://127.0.0.1/callback'] }),
  });
  assert.equal(refused.ok, false, 'the server registers clients');
};

// The text that came back from `echo`, whichever way the tool dressed it.
export const echoed = (result) => {
  assert.notEqual(result.isError, true, JSON.stringify(result));
  return (result.structuredContent ?? JSON.parse(result.content[0].text)).echo;
};
