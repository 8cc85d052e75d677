// The official TypeScript SDK, first generation: it speaks revisions up to 2025-11-25.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ClientCredentialsProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { clientId, clientSecret, echoed, issuer, mcp } from './setting.mjs';

const sum = { name: 'calculate', arguments: { operation: 'add', operands: [10, 20, 30] } };

const connect = async (credentials) => {
  const authProvider = new ClientCredentialsProvider({
    clientId,
    clientSecret,
    expectedIssuer: issuer,
    ...credentials,
  });
  const transport = new StreamableHTTPClientTransport(mcp, { authProvider });
  const client = new Client({ name: 'sdk1', version: '1' });
  await client.connect(transport);
  return { client, transport, authProvider };
};

test('SDK 1.x finds the issuer, gets a token and calls echo on 2025-11-25', async () => {
  const { client, transport } = await connect({ scope: 'mcp:read' });
  assert.equal(transport.protocolVersion, '2025-11-25');
  const { tools } = await client.listTools();
  assert.ok(tools.some((tool) => tool.name === 'echo'));
  const result = await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
  assert.equal(echoed(result), 'hello');
  await transport.terminateSession();
  await client.close();
});

test('SDK 1.x calls calculate with a token of both scopes', async () => {
  const { client } = await connect({ scope: 'mcp:read mcp:write' });
  const result = await client.callTool(sum);
  assert.notEqual(result.isError, true, JSON.stringify(result));
  await client.close();
});

// Its client credentials ask for the same scope for ever, so the challenge is its last word.
test('SDK 1.x reads the challenge when the scope is too small', async () => {
  const { client } = await connect({ scope: 'mcp:read' });
  await assert.rejects(client.callTool(sum), (error) => error.code === 403);
  await client.close();
});

test('SDK 1.x is refused with a wrong secret', async () => {
  await assert.rejects(connect({ clientSecret: 'wrong' }), /client/i);
});
