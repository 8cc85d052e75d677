// mcp-remote with a person: a program that gives a remote server to hosts that start their servers as
// processes. The host here is the official SDK over stdio; mcp-remote speaks OAuth and http for it,
// keeps what it learns in a folder, and starts a browser.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';

import { visitor, walk } from './human.mjs';
import { assertKnownByDocument, documentOf, echoed, issuer, mcp } from './setting.mjs';

const MOST_SECONDS = 30;
const hello = { name: 'echo', arguments: { message: 'hello' } };
const sum = { name: 'calculate', arguments: { operation: 'add', operands: [10, 20, 30] } };

// mcp-remote would take the same port for every process that talks to one server.
const freePort = async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await once(server.close(), 'close');
  return String(port);
};

// A folder for what mcp-remote keeps, and for browsers that only note where they were sent.
const home = async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-remote-'));
  t.after(() => rm(folder, { recursive: true }));
  const browser = `#!/bin/sh\nprintf '%s\\n' "$@" >>'${folder}/opened'\n`;
  for (const name of ['browser', 'xdg-open', 'gio', 'x-www-browser', 'sensible-browser']) {
    await writeFile(join(folder, name), browser, { mode: 0o700 });
  }
  const kept = async (ending) => {
    const name = (await readdir(folder, { recursive: true })).find((one) => one.endsWith(ending));
    return JSON.parse(await readFile(join(folder, name), 'utf8'));
  };
  return {
    folder,
    port: await freePort(),
    tokens: () => kept('_tokens.json'),
    registration: () => kept('_client_info.json'),
    opened: async () => (await readFile(join(folder, 'opened'), 'utf8')).trim().split('\n'),
  };
};

// Opens the callback as the browser does. mcp-remote listens there a moment after it has opened the
// browser, and people take longer than that.
const deliver = async (callback) => {
  const end = Date.now() + MOST_SECONDS * 1000;
  for (;;) {
    const answer = await fetch(callback).catch((error) => error);
    if (answer.cause?.code !== 'ECONNREFUSED' || Date.now() > end) return assert.equal(answer.status, 200, answer.stack);
    await setTimeout(100);
  }
};

// Starts mcp-remote. Whenever it asks for an authorization, the person walks through it; the first
// time without the scopes named.
const start = async (t, { folder, port }, options, ...untick) => {
  const transport = new StdioClientTransport({
    command: 'mcp-remote',
    args: [mcp.href, port, '--transport', 'http-only', ...options],
    env: {
      HOME: folder,
      MCP_REMOTE_CONFIG_DIR: folder,
      BROWSER: join(folder, 'browser'),
      PATH: `${folder}${delimiter}${process.env.PATH}`,
    },
    stderr: 'pipe',
  });
  const [walks, said] = [[], []];
  const letIn = async (url) => {
    walks.push(url);
    const { callback, seen } = await walk(url, { ...visitor(), untick: walks.length === 1 ? untick : [] });
    assert.deepEqual(seen, ['login', 'consent']);
    await deliver(callback);
  };
  createInterface({ input: transport.stderr }).on('line', (line) => {
    said.push(line);
    if (!/^https?:\/\/\S+\/authorize\?/.test(line)) return;
    letIn(new URL(line)).catch((error) => said.push(`person: ${error.stack}`));
  });
  const client = new Client({ name: 'host', version: '1' });
  t.after(() => client.close());
  // Whatever fails here, what mcp-remote said about it tells why.
  const tell = (error) => assert.fail(`${error.stack}\n${said.join('\n')}`);
  await client.connect(transport, { timeout: MOST_SECONDS * 1000 }).catch(tell);
  const call = (tool) => client.callTool(tool).catch(tell);
  return { client, walks, said, call };
};

// Whether the resource still takes this token.
const lives = async (token) => {
  const headers = { Authorization: `Bearer ${token}` };
  return (await fetch(`${issuer}/api/v1/me`, { headers })).status !== 401;
};

// Goes on until the token has died. mcp-remote refreshes before every call while little lifetime is
// left, and suspects the server after twenty refreshes in half a minute; so calls are seconds apart.
const outlive = async (token, meanwhile) => {
  const end = Date.now() + MOST_SECONDS * 1000;
  while (await lives(token)) {
    assert.ok(Date.now() < end, `the token outlives ${MOST_SECONDS} seconds`);
    await meanwhile();
    await setTimeout(1000);
  }
};

const secret = ['--static-oauth-client-metadata', '{"token_endpoint_auth_method":"client_secret_post"}'];
describe('mcp-remote with a person', { concurrency: 3 }, () => {
  for (const [name, options, revision, kind] of [
    ['2025-11-25', ['--protocol', 'legacy'], '2025-11-25', 'none'],
    ['2026-07-28, negotiated', ['--protocol', 'auto'], '2026-07-28', 'none'],
    ['2026-07-28 with a secret', ['--protocol', 'auto', ...secret], '2026-07-28', 'client_secret_post'],
  ]) {
    const document = documentOf(`mcp-remote ${name}`);
    // With a document it is public, whatever else it is told.
    if (document && kind !== 'none') continue;
    if (document) options.push('--client-metadata-url', document);
    test(`mcp-remote goes the whole way on ${name}`, { timeout: 4 * MOST_SECONDS * 1000 }, async (t) => {
      const at = await home(t);
      let app = await start(t, at, options, 'mcp:write');
      if (document) assert.equal(app.walks[0].searchParams.get('client_id'), document);
      else assert.equal((await at.registration()).token_endpoint_auth_method, kind);
      const first = await at.tokens();
      assert.match(first.scope, /mcp:read/);
      assert.doesNotMatch(first.scope, /mcp:write/);
      const { tools } = await app.client.listTools();
      assert.ok(tools.some(({ name: tool }) => tool === 'calculate'));
      assert.equal(echoed(await app.call(hello)), 'hello');
      const modern = app.said.some((line) => line.includes('Remote server speaks MCP 2026-07-28'));
      assert.equal(modern, revision === '2026-07-28', app.said.join('\n'));

      // The refused call waits for the person, and is then made again.
      assert.notEqual((await app.call(sum)).isError, true);
      assert.equal(app.walks.length, 2);
      assert.match(app.walks[1].searchParams.get('scope'), /mcp:write/);
      const wide = await at.tokens();
      assert.match(wide.scope, /mcp:write/);

      await outlive(wide.access_token, async () => assert.equal(echoed(await app.call(hello)), 'hello'));
      assert.notEqual((await app.call(sum)).isError, true);
      // The browser was sent where the person went.
      const states = (urls) => urls.map((url) => new URL(url).searchParams.get('state'));
      assert.deepEqual(states(await at.opened()), states(app.walks));
      await app.client.close();

      // Started again after the token has died, it needs nobody.
      await outlive((await at.tokens()).access_token, () => {});
      app = await start(t, at, options);
      assert.notEqual((await app.call(sum)).isError, true);
      assert.deepEqual(app.walks, [], app.said.join('\n'));
      if (document) await assertKnownByDocument(document);
    });
  }
});
