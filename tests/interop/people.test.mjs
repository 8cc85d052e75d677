// Foreign clients go the whole way with a person: 401, metadata, registration, login and consent,
// code, list, call, 403, step-up, refresh. scripts/interop lets access tokens live a few seconds.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { App, enter, journal, kinds } from './app.mjs';
import { assertKnownByDocument, documentOf, echoed, known } from './setting.mjs';
import { hello, sum } from './wire.mjs';

const MOST_SECONDS = 30;

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
    for (const kind of kinds) {
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
