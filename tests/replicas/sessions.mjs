// Sessions of MCP 2025-11-25 through the front: every request of one finds it, whichever replica holds it.

import assert from "node:assert/strict";

import { Session, clientToken, done, front, ok, say } from "./world.mjs";

const SESSIONS = 20;
const CALLS = 25;
const token = JSON.parse(ok(await clientToken(front)).text).access_token;
const lost = [];
const ids = new Set();
for (let n = 0; n < SESSIONS; n += 1) {
  const session = await Session.begin(front, token);
  ids.add(session.id);
  const stream = await session.listen();
  if (stream.status !== 200) lost.push(stream.status);
  for (let calls = 0; calls < CALLS; calls += 1) {
    const answer = await session.call();
    if (!answer.good) lost.push(answer.status);
  }
}
say(`${SESSIONS} sessions, ${SESSIONS * (CALLS + 3)} requests, ${lost.length} lost`);
assert.deepEqual(lost, []);
assert.equal(ids.size, SESSIONS);
done();
process.exit(0);
