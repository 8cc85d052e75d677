// The official TypeScript SDK, second generation: it speaks 2026-07-28 and the revisions before.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  Client,
  ClientCredentialsProvider,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';

import { clientId, clientSecret, echoed, issuer, mcp } from './setting.mjs';

const connect = async (mode, credentials) => {
  const authProvider = new ClientCredentialsProvider({
    clientId,
    clientSecret,
    expectedIssuer: issuer,
    ...credentials,
  });
  const transport = new StreamableHTTPClientTransport(mcp, { authProvider });
  const client = new Client({ name: 'sdk2', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  return { client, authProvider };
};

const narrowToken = async () => {
  const basic = Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`);
  const response = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${basic.toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'mcp:read', resource: mcp }),
  });
  const tokens = await response.json();
  assert.equal(tokens.scope, 'mcp:read', JSON.stringify(tokens));
  return tokens;
};

for (const [name, mode, revision] of [
  ['pinned to it', { pin: '2026-07-28' }, '2026-07-28'],
  ['by negotiation', 'auto', '2026-07-28'],
  ['by handshake', 'legacy', '2025-11-25'],
]) {
  test(`SDK 2.x gets a token and calls echo on ${revision}, ${name}`, async () => {
    const { client } = await connect(mode, { scope: 'mcp:read' });
    assert.equal(client.getNegotiatedProtocolVersion(), revision);
    const { tools } = await client.listTools();
    assert.ok(tools.some((tool) => tool.name === 'echo'));
    const result = await client.callTool({ name: 'echo', arguments: { message: 'hello' } });
    assert.equal(echoed(result), 'hello');
    await client.close();
  });

  test(`SDK 2.x gets the scope that a challenge names on ${revision}, ${name}`, async () => {
    const { client, authProvider } = await connect(mode, {});
    // The first challenge named both scopes; go on with a narrower token.
    authProvider.saveTokens(await narrowToken());
    const result = await client.callTool({
      name: 'calculate',
      arguments: { operation: 'add', operands: [10, 20, 30] },
    });
    assert.notEqual(result.isError, true, JSON.stringify(result));
    assert.match(authProvider.tokens().scope, /mcp:write/);
    await client.close();
  });
}

test('SDK 2.x is refused with a wrong secret', async () => {
  await assert.rejects(connect('auto', { clientSecret: 'wrong' }), /client/i);
});
