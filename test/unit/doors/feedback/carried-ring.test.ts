// What the ring remembers of carried credentials: it may forget, it never guesses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCarriedRing } from '../../../../src/doors/feedback/carried-ring.ts';

const key = ['id-1', 'orders.example.com', 'GET', '/v1/x'] as const;

test('a request that was recorded is found with its source and generation, for a minute', () => {
  const ring = createCarriedRing();
  ring.record(...key, 'orders', 7, 1_000);
  assert.deepEqual(ring.find(...key, 1_000), { source: 'orders', generation: 7 });
  assert.deepEqual(ring.find(...key, 61_000), { source: 'orders', generation: 7 });
  assert.equal(ring.find(...key, 61_001), undefined);
});

test('every part of the key counts, and their borders: an id alone finds nothing', () => {
  const ring = createCarriedRing();
  ring.record(...key, 'orders', 7, 0);
  for (const other of [
    ['id-2', 'orders.example.com', 'GET', '/v1/x'],
    ['id-1', 'other.example.com', 'GET', '/v1/x'],
    ['id-1', 'orders.example.com', 'POST', '/v1/x'],
    ['id-1', 'orders.example.com', 'GET', '/v1/y'],
    ['id-1o', 'rders.example.com', 'GET', '/v1/x'],
    ['id-1', 'orders.example.co', 'mGET', '/v1/x'],
  ] as [string, string, string, string][]) {
    assert.equal(ring.find(...other, 0), undefined, other.join(' '));
  }
});

test('two generations under one key are in doubt, and stay so while the key is in use', () => {
  const ring = createCarriedRing();
  ring.record(...key, 'orders', 7, 0);
  ring.record(...key, 'orders', 8, 10);
  assert.equal(ring.find(...key, 20), 'in_doubt');
  ring.record(...key, 'orders', 8, 30);
  assert.equal(ring.find(...key, 40), 'in_doubt');
  ring.record(...key, 'orders', 8, 60_100 + 30);
  assert.deepEqual(ring.find(...key, 60_200), { source: 'orders', generation: 8 });
});

test('two sources under one key are in doubt even where their generations are equal', () => {
  const ring = createCarriedRing();
  ring.record(...key, 'orders', 7, 0);
  ring.record(...key, 'legacy', 7, 10);
  assert.equal(ring.find(...key, 20), 'in_doubt');
});

test('the same credential again is no doubt, and renews the minute', () => {
  const ring = createCarriedRing();
  ring.record(...key, 'orders', 7, 0);
  ring.record(...key, 'orders', 7, 50_000);
  assert.deepEqual(ring.find(...key, 100_000), { source: 'orders', generation: 7 });
});

test('a full ring forgets the older and answers nothing for it, never another one', () => {
  const ring = createCarriedRing(8);
  const keyOf = (i: number): readonly [string, string, string, string] => [`id-${i}`, 'h', 'GET', '/'];
  const known = Array.from({ length: 1_000 }, (_, i) => keyOf(i));
  for (const [i, k] of known.entries()) ring.record(...k, 'orders', i, 0);
  const found = known.map((k, i) => [ring.find(...k, 0), i] as const).filter(([f]) => f !== undefined);
  assert.ok(found.length > 0 && found.length <= 8, String(found.length));
  for (const [f, i] of found) assert.deepEqual(f, { source: 'orders', generation: i });
});
