import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { IssuedToken } from '../../../src/credential/credential.ts';
import { effectiveLifetimeMs, refreshDelayMs } from '../../../src/credential/lifetime.ts';
import { Secret } from '../../../src/lib/secret.ts';

const HOUR = 3_600_000;
const issued = (lifetimeMs: number | undefined, refreshAfterMs?: number): IssuedToken => ({
  value: new Secret('t'),
  lifetimeMs,
  ...(refreshAfterMs === undefined ? {} : { refreshAfterMs }),
});

describe('the life of a credential', () => {
  const cases: readonly (readonly [string, number | undefined, number | undefined, number])[] = [
    ['the source’s word', 2 * HOUR, undefined, 2 * HOUR],
    ['max_lifetime where the source says more', 2 * HOUR, HOUR, HOUR],
    ['the source’s word where it says less', HOUR, 2 * HOUR, HOUR],
    ['max_lifetime where the source names no end', undefined, HOUR, HOUR],
    ['no end where nobody names one', undefined, undefined, Number.POSITIVE_INFINITY],
    ['24 h at most', 1_000 * HOUR, undefined, 24 * HOUR],
  ];
  for (const [what, lifetime, max, expected] of cases) {
    test(`is ${what}`, () => assert.equal(effectiveLifetimeMs(issued(lifetime), max), expected));
  }
});

describe('the refresh ahead', () => {
  const half = () => 0;
  test('is at a share of the life, or where the source says so', () => {
    assert.equal(refreshDelayMs(issued(HOUR), HOUR, half), HOUR / 2);
    assert.equal(refreshDelayMs(issued(HOUR, 60_000), HOUR, half), 60_000);
    assert.equal(refreshDelayMs(issued(HOUR, 0.7 * HOUR), HOUR, half), 0.7 * HOUR);
  });
  test('is never at the very end or beyond, as a source may say that knows nothing of max_lifetime', () => {
    assert.equal(refreshDelayMs(issued(undefined, 12 * HOUR), HOUR, half), HOUR / 2);
    assert.equal(refreshDelayMs(issued(HOUR, HOUR), HOUR, half), HOUR / 2);
  });
  test('of what never ends is where the source says so, else never', () => {
    assert.equal(refreshDelayMs(issued(undefined, HOUR), Number.POSITIVE_INFINITY, half), HOUR);
    assert.equal(refreshDelayMs(issued(undefined), Number.POSITIVE_INFINITY, half), Number.POSITIVE_INFINITY);
  });
});
