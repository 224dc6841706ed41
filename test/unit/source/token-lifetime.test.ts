import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { retryAfterMs } from '../../../src/provider-http/retry-after.ts';
import { lifetimeOf, parseInstant } from '../../../src/source/token-lifetime.ts';

const NOW = Date.UTC(2026, 0, 1);
const jwt = (exp: number) =>
  ['{"alg":"RS256"}', JSON.stringify({ exp: exp / 1_000 }), 'x']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.');
const life = (expiresIn: unknown, accessToken = 'opaque', providerNow?: number) =>
  lifetimeOf({ accessToken, expiresIn, providerNow }, NOW);

describe('expires_in', () => {
  test('a number and digits as text count; missing means five minutes', () => {
    assert.equal(life(600), 600_000);
    assert.equal(life('3599'), 3_599_000);
    assert.equal(life(undefined), 300_000);
    assert.equal(life(null), 300_000);
  });
  for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '', 'soon', '12abc', '-5', true, [], {}]) {
    test(`${JSON.stringify(bad) ?? String(bad)} (${typeof bad}) is refused`, () =>
      assert.throws(() => life(bad), { code: 'source_invalid_response' }));
  }
  test('the token’s own exp counts when it is sooner, by the provider’s clock', () => {
    assert.equal(life(600, jwt(NOW + 60_000)), 60_000);
    assert.equal(life(undefined, jwt(NOW + 60_000)), 60_000);
    assert.equal(life(600, jwt(NOW + 60_000), NOW - 300_000), 360_000);
    assert.throws(() => life(600, jwt(NOW - 1_000)), { code: 'source_invalid_response' });
  });
});

test('Retry-After is read as seconds or as a date of RFC 9110, and nothing else', () => {
  assert.equal(retryAfterMs('60', NOW), 60_000);
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', NOW), 60_000);
  assert.equal(retryAfterMs('Wed, 31 Dec 2025 00:00:00 GMT', NOW), 0);
  for (const bad of ['-5', 'soon', '1e3', '', undefined]) assert.equal(retryAfterMs(bad, NOW), undefined);
});

describe('instants of providers', () => {
  const at = Date.UTC(2026, 10, 25, 12);
  test('RFC 3339, seconds and milliseconds are one instant', () => {
    for (const value of [
      '2026-11-25T12:00:00Z',
      '2026-11-25T13:00:00+01:00',
      at,
      at / 1_000,
      `${at / 1_000}`,
    ]) {
      assert.equal(parseInstant(value), at, String(value));
    }
  });
  test('a time without zone, words and what is no number are none', () => {
    for (const value of [
      '2026-11-25T12:00:00',
      'tomorrow',
      '',
      null,
      {},
      -1,
      Number.NaN,
      '2026-13-45T00:00:00Z',
    ]) {
      assert.equal(parseInstant(value), undefined, String(value));
    }
  });
});
