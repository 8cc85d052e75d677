// What one replica learns, the other knows: clients, revocations, keys, and with Redis the limits.
// usage: node sharing.mjs ROTATE      a shell command that rotates the signing key

import assert from "node:assert/strict";
import { spawn } from "node:child_process";

import * as world from "./world.mjs";

const { ask, authz, call, clientToken, front, now, ok, pause, resource, say } = world;
const shared = process.env.LIMITS_SHARED === "yes";
const TIMES = 5;

const register = (base, from, n) =>
  ask(base, "/register", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Forwarded-For": from },
    body: JSON.stringify({ client_name: `${from} ${n} ${now()}`, redirect_uris: [`http://127.0.0.1/${n}`], token_endpoint_auth_method: "none" }),
  });

// How long until `isSo`; at most two seconds.
const until = async (isSo) => {
  const began = now();
  while (!(await isSo())) {
    if (now() - began > 2000) return Infinity;
    await pause(10);
  }
  return now() - began;
};

const isKnown = async (base, id, n) => {
  const query = new URLSearchParams({ response_type: "code", client_id: id, redirect_uri: `http://127.0.0.1/${n}`, code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", code_challenge_method: "S256" });
  return [200, 302, 303].includes((await ask(base, `/authorize?${query}`)).status);
};
assert.equal(await isKnown(authz[1], "nobody", 0), false);
let slowest = 0;
for (let n = 0; n < TIMES; n += 1) {
  const answer = await register(authz[n % 2], "198.51.100.1", n);
  assert.equal(answer.status, 201, answer.text);
  const { client_id } = JSON.parse(answer.text);
  slowest = Math.max(slowest, await until(() => isKnown(authz[(n + 1) % 2], client_id, n)));
}
say(`a client made on one is known on the other after ${Math.round(slowest)} ms at most, ${TIMES} times`);
assert.ok(slowest <= 1000);

slowest = 0;
for (let n = 0; n < TIMES; n += 1) {
  const { access_token, refresh_token } = await world.grant();
  assert.equal((await world.introspect(authz[1], access_token)).active, true);
  ok(await world.revoke(authz[0], refresh_token));
  slowest = Math.max(slowest, await until(async () => !(await world.introspect(authz[1], access_token)).active));
}
say(`a revocation on one counts on the other after ${Math.round(slowest)} ms at most, ${TIMES} times`);
assert.ok(slowest <= 1000);

// 20 registrations a minute and source; without Redis each replica counts for itself.
const statuses = [];
for (let n = 0; n < 50; n += 1) statuses.push((await register(authz[n % 2], "198.51.100.2", n)).status);
const made = statuses.filter((status) => status === 201).length;
say(`of 50 registrations of one source on two replicas ${made} were taken`);
assert.ok(statuses.every((status) => status === 201 || status === 429));
// A few more may have found room again while the fifty were sent.
assert.ok(shared ? made >= 20 && made <= 22 : made >= 40 && made <= 44, `${made}`);

const attempt = async (base, username) => {
  const source = { "X-Forwarded-For": "198.51.100.3" };
  const page = ok(await ask(base, "/login", { headers: source }));
  const fields = [...page.text.matchAll(/<input\b[^>]*type="hidden"[^>]*>/g)].map(([tag]) => [/name="([^"]*)"/.exec(tag)[1], /value="([^"]*)"/.exec(tag)?.[1] ?? ""]);
  const cookie = (page.headers["set-cookie"] ?? []).map((line) => line.split(";")[0]).join("; ");
  return ask(base, "/login", {
    method: "POST",
    headers: { ...source, ...(cookie && { Cookie: cookie }), Origin: "null", "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams([...fields, ["username", username], ["password", "not the password"]]).toString(),
  });
};
const tries = [];
for (let n = 0; n < 14; n += 1) tries.push((await attempt(authz[n % 2], "nobody")).status);
const let_through = tries.filter((status) => status !== 429).length;
say(`of 14 wrong passwords of one source on two replicas ${let_through} were looked at`);
assert.equal(let_through, shared ? 5 : 10, tries.join(" "));

// A key is rotated while tokens are made on both replicas and used at both servers.
let calls = 0;
const refused = [];
let over = false;
const traffic = async (from, to) => {
  while (!over) {
    const { access_token } = JSON.parse(ok(await clientToken(from)).text);
    const answer = await call(to, access_token);
    calls += 1;
    if (!answer.good) refused.push(`${answer.status} ${answer.headers["www-authenticate"] ?? answer.text}`);
  }
};
const kids = async () => JSON.parse(ok(await ask(front, "/jwks")).text).keys.map(({ kid }) => kid).join(" ");
const before = await kids();
const running = authz.flatMap((from) => resource.map((to) => traffic(from, to)));
await pause(1000);
const status = await new Promise((resolve) => spawn("sh", ["-c", process.argv[2]], { stdio: "inherit" }).on("exit", resolve));
assert.equal(status, 0);
await pause(4000);
over = true;
await Promise.all(running);
say(`${calls} calls while the key was rotated, ${refused.length} refused`);
for (const line of refused.slice(0, 5)) say(`  ${line}`);
assert.equal(refused.length, 0);
assert.notEqual(await kids(), before);
process.exit(0);
