// Where the server under test is, and who we are; scripts/with-server sets these.

import assert from 'node:assert/strict';

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

// The text that came back from `echo`, whichever way the tool dressed it.
export const echoed = (result) => {
  assert.notEqual(result.isError, true, JSON.stringify(result));
  return (result.structuredContent ?? JSON.parse(result.content[0].text)).echo;
};
