// One part of the stack goes away and comes back while requests go on, and every answer is judged.
// usage: node outage.mjs postgres|redis|nginx SECONDS BREAK MEND       the last two are shell commands
//
// postgres  what needs the store is 503 with Retry-After, at once or after two seconds at most, and nothing else;
//           tool calls go on
// redis     nothing fails
// nginx     the front is gone, and the servers behind it notice nothing

import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import * as world from "./world.mjs";

const { ask, authz, call, clientToken, front, now, ok, pause, resource, say, Session } = world;
const [kind, seconds, breaking, mending] = process.argv.slice(2);
// Two seconds are promised; the rest is for a busy machine.
const PATIENCE = 2500;
const RECOVERY = 5000;

const run = (command) =>
  new Promise((resolve, reject) => {
    const child = spawn("sh", ["-c", command], { stdio: ["ignore", "ignore", "inherit"] });
    child.on("exit", (status) => (status === 0 ? resolve() : reject(new Error(`${command}: exit ${status}`))));
  });

const { access_token } = JSON.parse(ok(await clientToken(front)).text);
const session = await Session.begin(front, access_token);
const isGood = ({ status, good }) => good ?? status === 200;

// Each use of a refresh token brings the next; after 503 the same one must still be good.
const chain = async () => {
  let { refresh_token } = await world.grant();
  return async () => {
    const answer = await world.refresh(front, refresh_token);
    if (answer.status === 200) ({ refresh_token } = JSON.parse(answer.text));
    return answer;
  };
};

const onEach = (bases, name, send) => bases.map((base, n) => ({ name: `${name} at ${n + 1}`, send: () => send(base) }));
const stored = [
  { name: "refresh", send: await chain() },
  { name: "refresh", send: await chain() },
  ...onEach(authz, "introspection", async (base) => world.form(base, "/introspect", world.asker, { token: access_token })),
];
const verified = [
  ...onEach(resource, "tools/call", (base) => call(base, access_token)),
];
const outside = [
  { name: "tools/call through the front", send: () => call(front, access_token) },
  { name: "session call", send: () => session.call() },
];
const straight = [...onEach(authz, "client token", (base) => clientToken(base)), ...onEach([...authz, ...resource], "readiness", (base) => ask(base, "/readyz"))];
const steady = { postgres: [...verified, ...outside], redis: [...stored, ...verified, ...outside, ...straight], nginx: [...verified, ...straight] }[kind];
const shaken = { postgres: stored, redis: [], nginx: outside }[kind];

// Who goes on without Redis says so in its metrics.
const metrics = kind === "redis" ? process.env.METRICS.split(" ") : [];
const degraded = async () => {
  const texts = await Promise.all(metrics.map(async (base) => ok(await ask(base, "/metrics")).text));
  return texts.filter((text) => /^portcullis_redis_degraded(\{.*\})? 1$/m.test(text)).length;
};

const wrong = [];
const away = [];
let answers = 0;
let longest = 0;
let over = false;
const probe = async ({ name, send }, mayBeAway) => {
  while (!over) {
    const began = now();
    try {
      const answer = await send();
      answers += 1;
      const ended = now();
      if (isGood(answer)) {
        // Good answers may be late by what the outage held up; they are no refusal.
      } else if (mayBeAway && kind === "postgres" && answer.status === 503 && answer.headers["retry-after"]) {
        away.push({ began, ended, name });
        longest = Math.max(longest, ended - began);
      } else wrong.push(`${name}: ${answer.status} ${answer.text.slice(0, 160)}`);
    } catch (error) {
      if (mayBeAway && kind === "nginx") away.push({ began, ended: now(), name });
      else wrong.push(`${name}: ${error.message}`);
    }
    await pause(20);
  }
};

const probes = [...steady.map((one) => probe(one, false)), ...shaken.map((one) => probe(one, true))];
await pause(1000);
assert.deepEqual({ wrong, away: away.length }, { wrong: [], away: 0 });
const broken = now();
await run(breaking);
await pause(Number(seconds) * 1000);
const noticed = await degraded();
await run(mending);
const mended = now();
let recovered;
while (now() - mended < RECOVERY + 1000) {
  if (recovered === undefined && (await degraded()) === 0) recovered = now() - mended;
  await pause(20);
}
over = true;
await Promise.all(probes);

const first = away.length && Math.min(...away.map(({ ended }) => ended)) - broken;
const last = Math.max(0, ...away.map(({ ended }) => ended - mended));
say(`${answers} answers, ${away.length} of them away as they should be, ${wrong.length} wrong`);
if (shaken.length) say(`first of them after ${Math.round(first)} ms, longest wait ${Math.round(longest)} ms, back ${Math.round(last)} ms after the return`);
if (metrics.length) say(`${noticed} of ${metrics.length} servers went on without Redis, all used it again ${Math.round(recovered)} ms after its return`);
for (const line of wrong.slice(0, 10)) say(`  ${line}`);
assert.equal(wrong.length, 0);
assert.ok(longest <= PATIENCE, "an answer took too long");
assert.ok(last <= RECOVERY, "it took too long to come back");
if (shaken.length) assert.ok(away.length > 0, "nothing was away: the outage did not happen");
assert.ok(recovered <= RECOVERY, "Redis is not used again");
assert.equal(noticed, metrics.length, "not everybody noticed that Redis is away");
// The probes that were shaken work again.
for (const { name, send } of [...shaken, ...steady]) {
  const answer = await send();
  assert.ok(isGood(answer), `${name}: ${answer.status} ${answer.text}`);
}
process.exit(0);
