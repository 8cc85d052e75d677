// Foreign clients go the whole way with a person: 401, metadata, registration, login and consent,
// code, list, call, 403, step-up, refresh. scripts/interop lets access tokens live a few seconds.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import * as v2 from '@modelcontextprotocol/client';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { visitor, walk } from './human.mjs';
import { assertKnownByDocument, documentOf, echoed, issuer, known, mcp } from './setting.mjs';

const MOST_SECONDS = 30;
const redirectUrl = 'http://127.0.0.1:3917/callback';
const hello = { name: 'echo', arguments: { message: 'hello' } };
const sum = { name: 'calculate', arguments: { operation: 'add', operands: [10, 20, 30] } };

// What went over the wire, one line per request: "POST /token refresh_token 200".
const journal = () => {
  const lines = [];
  const recording = async (url, init = {}) => {
    const response = await fetch(url, init);
    const form = init.body instanceof URLSearchParams ? ` ${init.body.get('grant_type')}` : '';
    lines.push(`${init.method ?? 'GET'} ${new URL(url).pathname}${form} ${response.status}`);
    return response;
  };
  return { lines, fetch: recording, count: (line) => lines.filter((one) => one === line).length };
};

// What an app keeps for its user: the registration, the tokens, and where it sent the browser.
class App {
  redirectUrl = redirectUrl;
  clientMetadata = {
    client_name: 'People',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
  sentTo = undefined;
  #state = 0;
  #kept = {};

  constructor(method, document) {
    if (method) this.clientMetadata.token_endpoint_auth_method = method;
    if (document) this.clientMetadataUrl = document;
  }
  state = () => `state-${(this.#state += 1)}`;
  clientInformation = () => this.#kept.client;
  saveClientInformation = (client) => void (this.#kept.client = client);
  tokens = () => this.#kept.tokens;
  saveTokens = (tokens) => void (this.#kept.tokens = tokens);
  codeVerifier = () => this.#kept.verifier;
  saveCodeVerifier = (verifier) => void (this.#kept.verifier = verifier);
  discoveryState = () => this.#kept.discovery;
  saveDiscoveryState = (discovery) => void (this.#kept.discovery = discovery);
  redirectToAuthorization = (url) => void (this.sentTo = url);
  forgetTokens = () => void delete this.#kept.tokens;

  // The person logs in and consents, without the scopes named.
  async letIn(...untick) {
    const { callback, seen } = await walk(this.sentTo, { ...visitor(), untick });
    assert.deepEqual(seen, ['login', 'consent']);
    assert.equal(callback.searchParams.get('state'), `state-${this.#state}`);
    assert.equal(callback.searchParams.get('iss'), issuer);
    assert.ok(callback.searchParams.get('code'), callback.search);
    return callback.searchParams;
  }
}

const sdk1 = {
  name: 'SDK 1.x on 2025-11-25',
  revision: '2025-11-25',
  Unauthorized: UnauthorizedError,
  client: () => new Client({ name: 'sdk1', version: '1' }),
  transport: (options) => new StreamableHTTPClientTransport(mcp, options),
  finish: (transport, answer) => transport.finishAuth(answer.get('code')),
  revisionOf: ({ transport }) => transport.protocolVersion,
};

const sdk2 = (name, mode, revision) => ({
  name: `SDK 2.x on ${revision}, ${name}`,
  revision,
  Unauthorized: v2.UnauthorizedError,
  client: () => new v2.Client({ name: 'sdk2', version: '1' }, { versionNegotiation: { mode } }),
  transport: (options) => new v2.StreamableHTTPClientTransport(mcp, options),
  finish: (transport, answer) => transport.finishAuth(answer),
  revisionOf: ({ client }) => client.getNegotiatedProtocolVersion(),
  stepsUp: true,
});

// From a first refusal to a connected client; the person leaves out the scopes named.
const enter = async (kind, app, wire, ...untick) => {
  const options = { authProvider: app, fetch: wire.fetch };
  const refused = kind.transport(options);
  await assert.rejects(kind.client().connect(refused), kind.Unauthorized);
  await kind.finish(refused, await app.letIn(...untick));
  const connection = { client: kind.client(), transport: kind.transport(options) };
  await connection.client.connect(connection.transport);
  return connection;
};

const calls = async (client, tool) => {
  const result = await client.callTool(tool);
  assert.notEqual(result.isError, true, JSON.stringify(result));
  return result;
};

// Calls until the token has died and another one came, without anybody at the forms.
const callUntilRefreshed = async (client, app, wire) => {
  const [before, refreshes] = [app.tokens(), wire.count('POST /token refresh_token 200')];
  const end = Date.now() + MOST_SECONDS * 1000;
  while (wire.count('POST /token refresh_token 200') === refreshes) {
    assert.ok(Date.now() < end, `no refresh in ${MOST_SECONDS} seconds: ${wire.lines.slice(0, 20)}`);
    assert.equal(echoed(await client.callTool(hello)), 'hello');
  }
  assert.notEqual(app.tokens().access_token, before.access_token);
  assert.equal(app.tokens().scope, before.scope);
  assert.equal(echoed(await client.callTool(hello)), 'hello');
};

const stepUp = async (kind, { client, transport }, app, wire) => {
  if (kind.stepsUp) {
    await assert.rejects(client.callTool(sum), kind.Unauthorized);
    assert.match(app.sentTo.searchParams.get('scope'), /mcp:write/);
    await kind.finish(transport, await app.letIn());
    return { client, transport };
  }
  // It tries a refresh, which cannot widen anything, and gives up; its user logs in again.
  await assert.rejects(client.callTool(sum), (error) => error.code === 403);
  await client.close();
  app.forgetTokens();
  return enter(kind, app, wire);
};

describe('The official SDK with a person', { concurrency: 4 }, () => {
  for (const { by, method } of known('none', 'client_secret_post', undefined)) {
    for (const kind of [
      sdk1,
      sdk2('pinned to it', { pin: '2026-07-28' }, '2026-07-28'),
      sdk2('by negotiation', 'auto', '2026-07-28'),
      sdk2('by handshake', 'legacy', '2025-11-25'),
    ]) {
      test(`${kind.name} goes the whole way, known by ${by}`, async () => {
        const document = documentOf(kind.name);
        const [app, wire] = [new App(method, document), journal()];
        let connection = await enter(kind, app, wire, 'mcp:write');
        const way = [
          'POST /mcp 401',
          'GET /.well-known/oauth-protected-resource/mcp 200',
          'GET /.well-known/oauth-authorization-server 200',
          ...(document ? [] : ['POST /register 201']),
          'POST /token authorization_code 200',
        ];
        assert.deepEqual(wire.lines.slice(0, way.length), way);
        assert.equal(app.sentTo.searchParams.get('client_id'), document ?? app.clientInformation().client_id);
        assert.equal(kind.revisionOf(connection), kind.revision);
        assert.match(app.tokens().scope, /mcp:read/);
        assert.doesNotMatch(app.tokens().scope, /mcp:write/);
        const { tools } = await connection.client.listTools();
        assert.ok(tools.some(({ name }) => name === 'calculate'));
        assert.equal(echoed(await connection.client.callTool(hello)), 'hello');

        connection = await stepUp(kind, connection, app, wire);
        assert.ok(wire.count('POST /mcp 403') > 0, wire.lines.join('\n'));
        assert.equal(wire.lines.filter((line) => line.startsWith('POST /register')).length, document ? 0 : 1);
        await calls(connection.client, sum);
        assert.match(app.tokens().scope, /mcp:write/);

        await callUntilRefreshed(connection.client, app, wire);
        await calls(connection.client, sum);
        if (document) await assertKnownByDocument(document);
        await connection.client.close();
      });
    }
  }
});
