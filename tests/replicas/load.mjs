// Load through the front while replicas come and go: no request fails, and what was acknowledged holds.
// usage: node load.mjs REQUESTS FOLDER
//
// Writes FOLDER/began when the load runs, and ends after so many requests as soon as FOLDER/over is there.

import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";

import * as world from "./world.mjs";

const { ask, call, clientToken, each, front, ok, pause, say, Session } = world;
const wanted = Number(process.argv[2]);
const folder = process.argv[3];
const shared = process.env.SESSIONS_SHARED === "yes";

const count = new Map();
const failed = [];
const acknowledged = [];
const slowest = { took: 0 };
let sent = 0;
let over = false;
const watch = setInterval(() => (over = sent >= wanted && existsSync(`${folder}/over`)), 100);

// Sends one request of a kind and notes how it went; a kind of failure that is no failure answers true.
const one = async (kind, send, isGood = ({ status }) => status === 200) => {
  sent += 1;
  count.set(kind, (count.get(kind) ?? 0) + 1);
  const began = world.now();
  try {
    const answer = await send();
    if (answer.took > slowest.took) Object.assign(slowest, { took: answer.took, kind });
    if (isGood(answer)) return answer;
    failed.push(`${kind}: ${answer.status} ${answer.text.slice(0, 200)}`);
  } catch (error) {
    failed.push(`${kind}: ${error.message} after ${Math.round(world.now() - began)} ms`);
  }
  return undefined;
};
const tokenIn = (answer) => JSON.parse(answer.text);

const machine = async () => {
  while (!over) {
    const answer = await one("client token", () => clientToken(front));
    if (!answer) continue;
    const { access_token } = tokenIn(answer);
    acknowledged.push(access_token);
    for (let n = 0; n < 3; n += 1) await one("tools/call", () => call(front, access_token), ({ good }) => good);
  }
};

const documents = ["/jwks", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"];
const reader = async () => {
  while (!over) for (const path of documents) await one("document", () => ask(front, path));
};

// Each refresh token is used once; the next one is in the answer.
const leaves = [];
const refresher = async (grant) => {
  let { refresh_token } = grant;
  while (!over) {
    const answer = await one("refresh", () => world.refresh(front, refresh_token));
    if (!answer) break;
    const tokens = tokenIn(answer);
    ({ refresh_token } = tokens);
    acknowledged.push(tokens.access_token);
    await one("tools/call", () => call(front, tokens.access_token), ({ good }) => good);
    // As often as twenty people at once; not as fast as a machine can.
    await pause(20);
  }
  leaves.push(refresh_token);
};

// A session with its stream. Where sessions are not shared, one ends with its replica: the client is told
// by 404, and begins another.
const streams = { clean: 0, other: [], again: 0 };
const talker = async (token) => {
  let session = await Session.begin(front, token);
  let listening;
  let ends = 0;
  while (!over) {
    if (!listening) {
      const stream = await session.listen();
      if (stream.status === 404 && !shared) {
        streams.again += 1;
        session = await Session.begin(front, token);
        continue;
      }
      if (stream.status !== 200) failed.push(`stream: ${stream.status}`);
      listening = true;
      stream.ended.then((how) => {
        listening = false;
        if (over) return;
        ends += 1;
        if (how === "clean") streams.clean += 1;
        else streams.other.push(how);
      });
    }
    const answer = await one("session call", () => session.call(), ({ good, status }) => good || (status === 404 && !shared));
    if (answer?.status === 404) {
      streams.again += 1;
      session = await Session.begin(front, token);
      listening = false;
    }
    await pause(5);
  }
  return ends;
};

const grants = [];
for (let n = 0; n < 12; n += 1) grants.push(await world.grant());
const { access_token } = tokenIn(ok(await clientToken(front)));
const began = world.now();
writeFileSync(`${folder}/began`, "");
const workers = [machine, machine, machine, machine, reader, ...Array(6).fill(() => talker(access_token)), ...grants.map((grant) => () => refresher(grant))];
await Promise.all(workers.map((work) => work()));
const seconds = (world.now() - began) / 1000;
clearInterval(watch);

say(`${sent} requests in ${seconds.toFixed(1)} s (${Math.round(sent / seconds)} per second): ${[...count].map(([kind, n]) => `${n} ${kind}`).join(", ")}`);
say(`failed: ${failed.length}; slowest answer: ${Math.round(slowest.took)} ms (${slowest.kind})`);
say(`streams that ended cleanly: ${streams.clean}, otherwise: ${streams.other.length}; sessions begun anew: ${streams.again}`);

// Acknowledged means durable: each token is asked about, and each grant goes on.
let dead = 0;
await each(acknowledged, 16, async (token) => {
  const { active } = await world.introspect(front, token);
  if (active !== true) dead += 1;
});
let ended = 0;
for (const leaf of leaves) if ((await world.refresh(front, leaf)).status !== 200) ended += 1;
say(`${acknowledged.length} tokens were acknowledged, ${dead} of them are unknown; ${leaves.length} grants, ${ended} of them ended`);
for (const line of failed.slice(0, 20)) say(`  ${line}`);
for (const line of streams.other.slice(0, 5)) say(`  stream: ${line}`);
assert.deepEqual({ failed: failed.length, streams: streams.other.length, dead, ended }, { failed: 0, streams: 0, dead: 0, ended: 0 });
assert.equal(leaves.length, grants.length);
process.exit(0);
