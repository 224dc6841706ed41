import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReplayMemory } from '../../../src/inbound/replay.ts';
import { createTokenTime } from '../../../src/inbound/token-time.ts';
import { TokenBucket, TokenBuckets } from '../../../src/lib/token-bucket.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const AGE_MS = 65_000;

function setUp(limit?: number) {
  const clock = new FakeClock();
  const replay = createReplayMemory(clock, limit);
  return {
    clock,
    first: (sender: string, id: string, madeAt = clock.now(), forMs = AGE_MS) =>
      replay.first({ sender, what: `${sender} ${id}`, madeAt, forMs }),
  };
}

test('what was seen is seen until its time is over', async () => {
  const { clock, first } = setUp();
  const madeAt = clock.now();
  assert.equal(first('a', '1', madeAt), true);
  for (let second = 0; second < 65; second++) {
    await clock.advance(1_000);
    assert.equal(first('a', '1', madeAt), false, `after ${second + 1} s`);
    first('b', `${second}`);
  }
  await clock.advance(1_000);
  assert.equal(first('a', '1', madeAt), true);
});

test('one sender that floods shortens the time that its own proofs count, and nobody else notices', async () => {
  const { clock, first } = setUp(20_000);
  const [old, before] = [clock.now(), 100];
  for (let i = 0; i < before; i++) assert.ok(first('other', `${i}`));
  for (let second = 0; second < 50; second++) {
    await clock.advance(1_000);
    for (let i = 0; i < 600; i++) assert.ok(first('flood', `${second} ${i}`), `${second} ${i}`);
    assert.ok(first('other', `new ${second}`));
  }
  for (let i = 0; i < before; i++) assert.equal(first('other', `${i}`, old), false, 'a replay');
  assert.ok(first('other', 'made long ago', old), 'another’s proofs count as long as ever');
  assert.ok(first('flood', 'fresh'));
  // What was forgotten of the flood, and what was not.
  for (let second = 0; second < 50; second++) {
    const madeAt = clock.now() - (49 - second) * 1_000;
    assert.equal(first('flood', `${second} 0`, madeAt), false, `a replay of ${second} s`);
  }
  assert.equal(first('flood', 'made long ago', old), false);
});

test('more senders than marks: the oldest is forgotten, and believed from nobody', async () => {
  const { clock, first } = setUp(1_000);
  const madeAt = clock.now();
  for (let i = 0; i < 1_000; i++) assert.ok(first(`${i}`, 'x'));
  await clock.advance(1_000);
  assert.ok(first('one more', 'x'));
  for (let i = 0; i < 1_000; i++) assert.equal(first(`${i}`, 'x', madeAt), false, 'a replay');
  assert.ok(first('0', 'next'));
});

test('nothing is believed twice while it counts, whoever sends what, however full', async () => {
  const action = fc.record({
    sender: fc.constantFrom('a', 'b', 'c', 'd'),
    id: fc.constantFrom('1', '2', '3', '4', '5'),
    waitMs: fc.nat(9_000),
    ageMs: fc.nat(60_000),
    again: fc.nat(30),
    forMs: fc.constantFrom(AGE_MS, 125_000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 120 }), async (actions) => {
      const { clock, first } = setUp(6);
      const believed: { sender: string; id: string; madeAt: number; forMs: number }[] = [];
      for (const { sender, id, waitMs, ageMs, again, forMs } of actions) {
        await clock.advance(waitMs);
        const proof = { sender, id: `${id} ${believed.length}`, madeAt: clock.now() - ageMs, forMs };
        if (first(proof.sender, proof.id, proof.madeAt, forMs)) believed.push(proof);
        const old = believed.at(-1 - again);
        if (old === undefined || clock.now() - old.madeAt > old.forMs - 5_000) continue;
        assert.equal(first(old.sender, old.id, old.madeAt, old.forMs), false, 'a replay');
      }
    }),
    { numRuns: 300 },
  );
});

test('who has less than its share is believed, whatever others do', () => {
  const { first } = setUp(100);
  for (let i = 0; i < 1_000; i++) first(`flood ${i % 3}`, `${i}`, i);
  for (let i = 0; i < 25; i++) assert.ok(first('other', `${i}`, 0), `${i}`);
});

test('token time: a wall clock that is set back is outrun by the time that the process has run', async () => {
  const clock = new FakeClock(1_000_000);
  const time = createTokenTime(clock);
  await clock.advance(5_000);
  assert.equal(time.now(), 1_005_000);
  clock.setWall(500_000);
  assert.equal(time.now(), 1_005_000);
  clock.setWall(2_000_000);
  assert.equal(time.now(), 2_000_000);
});

test('a bucket gives its burst, then its rate; each key of many has its own', () => {
  const size = { requests: 10, perMs: 1_000, burst: 3 };
  const bucket = new TokenBucket(size, 0);
  assert.deepEqual(
    [0, 0, 0, 0].map(() => bucket.take(0)),
    [0, 0, 0, 100],
  );
  assert.equal(Math.round(bucket.take(99)), 1);
  assert.equal(bucket.take(100), 0);
  assert.equal(Math.round(bucket.waitMs(100)), 100);
  const many = new TokenBuckets(size);
  for (let i = 0; i < 3; i++) many.of('a', 0).take(0);
  assert.ok(many.of('a', 0).take(0) > 0);
  assert.equal(many.of('b', 0).take(0), 0);
  // Bounded: the one that was unused longest goes.
  for (let i = 0; i < 10_000; i++) many.of(`x${i}`, 0);
  assert.equal(many.of('a', 0).left, 3);
});
