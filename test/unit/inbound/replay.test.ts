import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReplayMemory } from '../../../src/inbound/replay.ts';
import { createTokenTime } from '../../../src/inbound/token-time.ts';
import { TokenBucket, TokenBuckets } from '../../../src/lib/token-bucket.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('what was seen is seen until its time is over, over all turns of the memory', async () => {
  const clock = new FakeClock();
  const replay = createReplayMemory(clock);
  assert.equal(replay.first('a', 65_000), true);
  for (let second = 0; second < 64; second++) {
    await clock.advance(1_000);
    assert.equal(replay.first('a', 65_000), false, `after ${second + 1} s`);
  }
  await clock.advance(1_000);
  assert.equal(replay.first('a', 65_000), false, 'in its last moment a proof is still good');
  await clock.advance(1_000);
  assert.equal(replay.first('a', 65_000), true);
});

test('a full memory believes nothing new, and forgets nothing', async () => {
  const clock = new FakeClock();
  const replay = createReplayMemory(clock);
  for (let i = 0; i < 200_000; i++) assert.ok(replay.first(`${i}`, 60_000));
  assert.equal(replay.first('one more', 60_000), false);
  assert.equal(replay.first('0', 60_000), false);
  await clock.advance(71_000);
  assert.equal(replay.first('one more', 60_000), true);
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
