// One code, and one refresh token, presented by twenty on both replicas at the same moment, many rounds.
// usage: node races.mjs ROUNDS

import assert from "node:assert/strict";

import { authz, clientToken, code, done, grant, redeem, refresh, say } from "./world.mjs";

const PARALLEL = 20;
const rounds = Number(process.argv[2]);
const replicas = Array.from({ length: PARALLEL }, (_, n) => authz[n % authz.length]);
const all = (send) => Promise.all(replicas.map(send));
// The connections are open before the first race.
await all((base) => clientToken(base));

const race = { none: 0, double: 0, winners: authz.map(() => 0), others: new Map() };
for (let round = 0; round < rounds; round += 1) {
  const fresh = await code();
  const answers = await all((base) => redeem(base, fresh));
  const winners = answers.flatMap(({ status }, n) => (status === 200 ? [n % authz.length] : []));
  if (winners.length === 0) race.none += 1;
  if (winners.length > 1) race.double += 1;
  for (const winner of winners) race.winners[winner] += 1;
  for (const { status, text } of answers) {
    if (status === 200) continue;
    const kind = `${status} ${JSON.parse(text).error}`;
    race.others.set(kind, (race.others.get(kind) ?? 0) + 1);
  }
}
say(`codes: ${rounds} rounds of ${PARALLEL} on ${authz.length} replicas, double wins ${race.double}, no winner ${race.none}, won by ${race.winners.join(" and ")}`);
assert.deepEqual([race.double, race.none], [0, 0]);
assert.deepEqual([...race.others.keys()], ["400 invalid_grant"]);
assert.ok(rounds < 20 || race.winners.every((won) => won > 0), "only one replica ever won");

let { refresh_token: leaf } = await grant();
const leaves = { double: 0, none: 0, refused: 0 };
for (let round = 0; round < rounds; round += 1) {
  const answers = await all((base) => refresh(base, leaf));
  const next = new Set(answers.filter(({ status }) => status === 200).map(({ text }) => JSON.parse(text).refresh_token));
  leaves.refused += answers.filter(({ status }) => status !== 200).length;
  if (next.size > 1) leaves.double += 1;
  if (next.size === 0) leaves.none += 1;
  [leaf] = next;
}
say(`refresh: ${rounds} rounds of ${PARALLEL} on ${authz.length} replicas, double leaves ${leaves.double}, refused ${leaves.refused}`);
assert.deepEqual(leaves, { double: 0, none: 0, refused: 0 });
done();
