// MCP by hand, for a client library that speaks OAuth and no MCP.

import assert from 'node:assert/strict';

import * as oauth from 'oauth4webapi';

import { mcp } from './setting.mjs';

const revision = '2026-07-28';
const meta = {
  'io.modelcontextprotocol/protocolVersion': revision,
  'io.modelcontextprotocol/clientCapabilities': {},
};

// The servers under test listen on loopback without TLS.
export const loopback = { [oauth.allowInsecureRequests]: true };
export const sum = { name: 'calculate', arguments: { operation: 'add', operands: [10, 20, 30] } };
export const hello = { name: 'echo', arguments: { message: 'hello' } };

// One MCP request that stands alone. Throws the challenge that a refusal carries.
export const request = async (token, method, params = {}) => {
  const headers = new Headers({
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': revision,
    'Mcp-Method': method,
    ...(params.name && { 'Mcp-Name': params.name }),
  });
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: meta } });
  const response = await oauth.protectedResourceRequest(token, 'POST', mcp, headers, body, loopback);
  const text = await response.text();
  const answer = JSON.parse(/^data: ?(\{.*)$/m.exec(text)?.[1] ?? text);
  assert.ok(answer.result && answer.result.isError !== true, text);
  return answer.result;
};

// The parameters of the Bearer challenge with which the resource refuses.
export const challenge = async (refused, status) => {
  const error = await refused.then(() => assert.fail('it was let through'), (thrown) => thrown);
  assert.ok(error instanceof oauth.WWWAuthenticateChallengeError, String(error));
  assert.equal(error.response.status, status);
  return error.cause.find(({ scheme }) => scheme === 'bearer').parameters;
};
