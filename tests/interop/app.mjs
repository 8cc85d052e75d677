// An app of somebody else: the official TypeScript SDK in its first and second generation, and what an
// app keeps for its user.

import assert from 'node:assert/strict';

import * as v2 from '@modelcontextprotocol/client';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { visitor, walk } from './human.mjs';
import { issuer, mcp } from './setting.mjs';

const redirectUrl = 'http://127.0.0.1:3917/callback';

// What went over the wire, one line per request: "POST /token refresh_token 200".
export const journal = () => {
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
export class App {
  redirectUrl = redirectUrl;
  clientMetadata = {
    client_name: 'People',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
  // What a person sees when the app sends them to the browser.
  pages = ['login', 'consent'];
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
    assert.deepEqual(seen, this.pages);
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

export const kinds = [
  sdk1,
  sdk2('pinned to it', { pin: '2026-07-28' }, '2026-07-28'),
  sdk2('by negotiation', 'auto', '2026-07-28'),
  sdk2('by handshake', 'legacy', '2025-11-25'),
];

// From a first refusal to a connected client; the person leaves out the scopes named.
export const enter = async (kind, app, wire, ...untick) => {
  const options = { authProvider: app, fetch: wire.fetch };
  const refused = kind.transport(options);
  await assert.rejects(kind.client().connect(refused), kind.Unauthorized);
  await kind.finish(refused, await app.letIn(...untick));
  const connection = { client: kind.client(), transport: kind.transport(options) };
  await connection.client.connect(connection.transport);
  return connection;
};
