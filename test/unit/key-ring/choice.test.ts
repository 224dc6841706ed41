import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { keyNotices, nextChangeAt, usableKeys } from '../../../src/key-ring/choice.ts';
import type { KeyState, RingKey } from '../../../src/key-ring/ring.ts';

const DAY = 24 * 3_600_000;
const NOW = Date.UTC(2026, 10, 25);
const key = (id: string, state: KeyState, from = -10, to = Number.POSITIVE_INFINITY): RingKey => ({
  id,
  file: `/${id}`,
  state,
  notBefore: NOW + from * DAY,
  expiresAt: NOW + to * DAY,
  stateAt: [0, 0],
});
const order = (...ring: RingKey[]) => usableKeys(ring, NOW, DAY).map(({ id }) => id);

describe('the order in which keys are used', () => {
  test('the key in use comes before an activated one that lives longer', () => {
    assert.deepEqual(order(key('next', 'activated', -1, 90), key('now', 'in_use', -80, 10)), ['now', 'next']);
  });
  test('in its grace period it stands behind', () => {
    assert.deepEqual(order(key('now', 'in_use', -80, 0.5), key('next', 'activated', -1, 90)), [
      'next',
      'now',
    ]);
  });
  test('alone in its grace period it is used to its end', () => {
    assert.deepEqual(order(key('now', 'in_use', -80, 0.5)), ['now']);
  });
  test('generated, suspended, revoked, future and ended keys are never used', () => {
    assert.deepEqual(
      order(
        key('a', 'generated'),
        key('b', 'suspended'),
        key('c', 'revoked'),
        key('d', 'activated', 1),
        key('e', 'in_use', -9, 0),
      ),
      [],
    );
  });
  test('of two activated ones that which lives longer comes first', () => {
    assert.deepEqual(order(key('a', 'activated', -1, 5), key('b', 'activated', -1, 9)), ['b', 'a']);
  });
});

test('the order is looked at again when a key begins, enters its grace or ends', () => {
  const ring = [key('now', 'in_use', -80, 3), key('next', 'activated', 1), key('off', 'suspended', 0.1, 0.2)];
  assert.equal(nextChangeAt(ring, NOW, DAY), NOW + DAY);
  assert.equal(nextChangeAt(ring, NOW + 1.5 * DAY, DAY), NOW + 2 * DAY);
  assert.equal(nextChangeAt(ring, NOW + 2.5 * DAY, DAY), NOW + 3 * DAY);
  assert.equal(nextChangeAt(ring, NOW + 4 * DAY, DAY), Number.POSITIVE_INFINITY);
});

describe('notices', () => {
  const cases: readonly (readonly [string, RingKey, readonly string[]])[] = [
    ['8 days left', key('k', 'in_use', -1, 8), []],
    ['7 days left', key('k', 'in_use', -1, 7), ['expires_within_7_days']],
    ['24 hours left', key('k', 'activated', -1, 1), ['expires_within_24_hours']],
    ['ended', key('k', 'in_use', -2, -1), ['expired']],
    ['90 days old', key('k', 'in_use', -90), []],
    ['91 days old', key('k', 'in_use', -91), ['older_than_90_days']],
    ['old and ending', key('k', 'in_use', -91, 1), ['expires_within_24_hours', 'older_than_90_days']],
    ['old and ending, but revoked', key('k', 'revoked', -91, 1), []],
  ];
  for (const [what, ring, expected] of cases) {
    test(`${what}: ${expected.join(', ') || 'none'}`, () =>
      assert.deepEqual(keyNotices(ring, NOW), expected));
  }
});
