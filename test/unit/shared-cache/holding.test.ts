import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../../../src/lib/secret.ts';
import { type Entry, entryLeftMs, entryOf } from '../../../src/shared-cache/entry.ts';
import { createHolding } from '../../../src/shared-cache/holding.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { issueRequest } from '../../support/issue.ts';

const clock = new FakeClock();
const entryWith = (fence: number, lifetimeMs: number): Entry =>
  entryOf({ value: new Secret(`token ${fence}`), lifetimeMs }, fence, clock.now())!;
const holdingWith = (random: number, perSubject = false) =>
  createHolding({ perSubject }, clock, () => random);

test('renewals come within 5 % of the life after its half, and within 15 s of a long one', () => {
  for (const [lifetimeMs, spreadMs] of [
    [100_000, 5_000],
    [3_600_000, 15_000],
  ] as const) {
    const entry = entryWith(1, lifetimeMs);
    const after = (random: number) =>
      holdingWith(random).take(entry, entryLeftMs(entry, clock.now()))!.refreshAfterMs!;
    assert.equal(Math.round(after(0)), lifetimeMs / 2);
    assert.equal(Math.round(after(1)), lifetimeMs / 2 + spreadMs);
  }
});

test('what ends while one waits for it is nothing', () => {
  assert.equal(holdingWith(0).take(entryWith(1, 100_000), 0), undefined);
});

test('while Redis is away a token is put off once, for a part of what is left, and again only after Redis was there', async () => {
  const holding = holdingWith(0.5);
  assert.equal(holding.putOff(issueRequest({ leftMs: 50_000 })), undefined, 'there is none yet');
  const entry = entryWith(7, 100_000);
  holding.gave(holding.take(entry, entryLeftMs(entry, clock.now()))!);
  assert.equal(holding.fence, 7);
  await clock.advance(50_000);
  assert.equal(holding.putOff(issueRequest({ leftMs: 5_999 })), undefined, 'too little is left');
  const put = holding.putOff(issueRequest({ leftMs: 45_000 }))!;
  assert.deepEqual([put.lifetimeMs, put.refreshAfterMs], [50_000, 13_500]);
  assert.equal(holding.putOff(issueRequest({ leftMs: 45_000 })), undefined, 'once');
  holding.found();
  assert.ok(holding.putOff(issueRequest({ leftMs: 45_000 })));
});

test('of single users nothing is held here: their number is not bounded', () => {
  const holding = holdingWith(0, true);
  const entry = entryWith(7, 100_000);
  holding.gave(holding.take(entry, entryLeftMs(entry, clock.now()))!);
  assert.equal(holding.fence, 0);
  assert.equal(holding.putOff(issueRequest({ leftMs: 50_000 })), undefined);
});
