import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refreshDelayMs, skewMs, urgentMs } from '../../../src/credential/lifetime.ts';
import { Secret } from '../../../src/lib/secret.ts';

const HOUR = 3_600_000;
const issued = (lifetimeMs: number) => ({ value: new Secret('t'), lifetimeMs });

/** A fixed row of numbers in [0, 1), as good as random here (Park and Miller). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test('fifty pods that started together renew once each, over a fifth of the life and never bunched', () => {
  const draw = random(7);
  const at = Array.from({ length: 50 }, () => refreshDelayMs(issued(HOUR), HOUR, draw) / HOUR);
  assert.ok(Math.min(...at) >= 0.5 && Math.max(...at) <= 0.7);
  assert.ok(Math.max(...at) - Math.min(...at) > 0.18, 'spread over the whole window');
  for (let from = 0.5; from < 0.7; from += 0.02) {
    const together = at.filter((share) => share >= from && share < from + 0.02).length;
    assert.ok(together <= 15, `${together} of 50 within 2 % of the life`);
  }
});

test('the last use is 5 % before the end and 10 s at most; the last fifth of a life is urgent, and 30 s of a longer one', () => {
  assert.deepEqual([4_000, 60_000, 600_000, 24 * HOUR].map(skewMs), [200, 3_000, 10_000, 10_000]);
  assert.deepEqual([10_000, 150_000, 600_000, HOUR].map(urgentMs), [2_000, 30_000, 60_000, 360_000]);
});
