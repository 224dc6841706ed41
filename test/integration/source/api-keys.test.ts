// The api_keys source with real files and a clock of the test's own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TokenSource } from '../../../src/credential/credential.ts';
import { type Clock, systemClock } from '../../../src/lib/clock.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { issueFailure, issueRequest } from '../../support/issue.ts';
import { type RingEntry, swapRing, writeRing } from '../../support/key-ring.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 25);

async function setUp(t: TestContext, entries: readonly RingEntry[], clock: Clock = new FakeClock(NOW)) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-ring-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeRing(folder, entries, clock.now());
  const { observer, named } = createRecordingObserver();
  const source = await createTokenSource(
    {
      name: 'orders',
      required: false,
      maxLifetimeMs: undefined,
      type: 'api_keys',
      ring: join(folder, 'ring.yaml'),
      graceMs: DAY,
    },
    { clock, env: {}, observer },
  );
  return { folder, source, named, clock };
}

async function keyOf(source: TokenSource, refused?: string): Promise<string> {
  const { value, keyId } = await source.issue(
    issueRequest({ refused: refused === undefined ? undefined : new Secret(refused) }),
  );
  assert.equal(value.reveal(), `value-${keyId}`);
  return keyId!;
}

const TWO: readonly RingEntry[] = [
  { id: 'a', state: 'in_use', from: -30, to: 30 },
  { id: 'b', state: 'activated', from: -1, to: 90 },
];

test('the key in use is handed out until its grace period, then its successor at that very time', async (t) => {
  const { source, clock } = await setUp(t, TWO);
  const { keyId, lifetimeMs, refreshAfterMs } = await source.issue(issueRequest());
  assert.deepEqual([keyId, lifetimeMs], ['a', 30 * DAY]);
  assert.equal(refreshAfterMs, DAY / 2, 'looked at twice a day');
  await (clock as FakeClock).advance(28.9 * DAY);
  const last = await source.issue(issueRequest());
  assert.equal(last.keyId, 'a');
  assert.ok(Math.abs(last.refreshAfterMs! - 0.1 * DAY) < 1_000, 'asked again when the grace period begins');
  await (clock as FakeClock).advance(0.1 * DAY);
  assert.equal(await keyOf(source), 'b');
});

test('after a refusal the next key is handed out, and stays until the ring changes', async (t) => {
  const { source, named } = await setUp(t, TWO);
  assert.equal(await keyOf(source), 'a');
  assert.equal(await keyOf(source, 'value-a'), 'b');
  assert.equal(await keyOf(source), 'b', 'a renewal in the background does not go back');
  assert.deepEqual(named('keyRefused'), [['orders', 'a']]);
  const error = await issueFailure(source, { refused: new Secret('value-b') });
  assert.equal(error.code, 'source_rejected');
  assert.equal(error.retryable, false);
  assert.match(error.message, /refused every key/);
  assert.equal(await keyOf(source), 'a', 'all refused: the one whose refusal is the longest ago');
});

test('a new value in the file of a refused key is a new key', async (t) => {
  const { source, folder } = await setUp(t, TWO);
  await keyOf(source, 'value-a');
  writeFileSync(join(folder, 'key-a'), 'renewed\n');
  const { value } = await source.issue(issueRequest());
  assert.equal(value.reveal(), 'renewed');
});

test('a key file that is missing does not take the other key away', async (t) => {
  const { source, folder } = await setUp(t, TWO);
  rmSync(join(folder, 'key-a'));
  assert.equal(await keyOf(source), 'b');
  rmSync(join(folder, 'key-b'));
  const error = await issueFailure(source);
  assert.equal(error.code, 'secret_unreadable');
  assert.match(error.message, /key-a cannot be read: ENOENT/);
});

test('a broken ring leaves the last good one in force and is reported with its place', async (t) => {
  const { source, folder, named } = await setUp(t, TWO);
  assert.equal(await keyOf(source), 'a');
  writeFileSync(join(folder, 'ring.yaml'), 'keys:\n  - { id: a, value: canary }\n');
  assert.equal(await keyOf(source, 'value-a'), 'b');
  assert.match(String(named('keyRingRefused')[0]![1]), /ring\.yaml:2:21: expected value: \{ file/);
  assert.doesNotMatch(JSON.stringify(named('keyRingRefused')), /canary/);
});

test('without a usable key there is none, and the message names the verb that lists them', async (t) => {
  const { source } = await setUp(t, [{ id: 'a', state: 'suspended' }]);
  assert.match((await issueFailure(source)).message, /no key may be used now; see bearerd keys list/);
});

test('warnings 7 days and 24 hours before the end and after 90 days of age, each once a day', async (t) => {
  const { source, named, clock } = await setUp(t, [
    { id: 'a', state: 'in_use', from: -85, to: 8 },
    { id: 'b', state: 'activated' },
  ]);
  const stop = source.watch!(() => {});
  t.after(stop);
  await source.issue(issueRequest());
  assert.deepEqual(named('keyNoticed'), []);
  const days: string[] = [];
  for (let hour = 1; hour <= 8.5 * 24; hour++) {
    const before = named('keyNoticed').length;
    await (clock as FakeClock).advance(3_600_000);
    for (const [, id, notice] of named('keyNoticed').slice(before)) days.push(`${hour / 24} ${id} ${notice}`);
  }
  assert.ok(days.includes('1 a expires_within_7_days'), days.join('\n'));
  assert.ok(days.includes('7 a expires_within_24_hours'));
  assert.ok(
    days.some((line) => /^5\.0\d* a older_than_90_days/.test(line)),
    days.join('\n'),
  );
  assert.ok(days.includes('8 a expired'));
  assert.equal(days.filter((line) => line.endsWith('7_days')).length, 6, 'once a day');
  assert.ok(days.every((line) => !line.includes(' b ')));
});

test('a swap of ..data is followed within 2 s, also of a value alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-ring-'));
  t.after(() => rmSync(folder, { recursive: true }));
  swapRing(folder, TWO);
  const source = await createTokenSource(
    {
      name: 'orders',
      required: false,
      maxLifetimeMs: undefined,
      type: 'api_keys',
      ring: join(folder, '..data', 'ring.yaml'),
      graceMs: DAY,
    },
    { clock: systemClock, env: {}, observer: createRecordingObserver().observer },
  );
  let changes = 0;
  t.after(source.watch!(() => changes++));
  await source.issue(issueRequest());
  await sleep(1_100);
  for (const entries of [
    [{ ...TWO[0]!, value: 'renewed' }, TWO[1]!],
    [{ ...TWO[0]!, state: 'revoked' }, TWO[1]!],
  ]) {
    const before = changes;
    const begun = performance.now();
    swapRing(folder, entries);
    while (changes === before && performance.now() - begun < 5_000) await sleep(20);
    const ms = performance.now() - begun;
    t.diagnostic(`followed after ${ms.toFixed(0)} ms (at most 2000)`);
    assert.ok(ms <= 2_000, `${ms} ms`);
    const { value } = await source.issue(issueRequest());
    assert.equal(value.reveal(), entries[0]!.state === 'revoked' ? 'value-b' : 'renewed');
  }
});
