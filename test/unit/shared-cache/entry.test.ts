// An entry that opens was sealed by somebody with the key: perhaps another version, with another idea of what is in it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSealingKey, seal } from '../../../src/lib/sealed.ts';
import { Secret } from '../../../src/lib/secret.ts';
import { entryOf, issuedOf, openEntry, sealEntry } from '../../../src/shared-cache/entry.ts';

const key = parseSealingKey('ab'.repeat(32))!;
const NAME = 'bearerd:a:{b}:entry';
const NOW = 1_800_000_000_000;
const entry = entryOf({ value: new Secret('token'), lifetimeMs: 600_000, keyId: 'k', source: 's' }, 5, NOW)!;
const sealed = (change: object) =>
  seal(JSON.stringify({ ...entry, value: entry.value.reveal(), ...change }), key, NAME);

test('what was sealed opens as it was', () => {
  const opened = openEntry(sealEntry(entry, key, NAME), [key], NAME)!;
  assert.deepEqual({ ...opened, value: opened.value.reveal() }, { ...entry, value: 'token' });
  const { keyId, source, ...rest } = entry;
  const without = openEntry(
    sealEntry({ ...rest, keyId: undefined, source: undefined }, key, NAME),
    [key],
    NAME,
  )!;
  assert.deepEqual([without.keyId, without.source], [undefined, undefined]);
});

test('what lacks a word, has one too many or another kind of it, or is no object does not open', () => {
  assert.equal(openEntry(sealed({ proofKey: 'a' }), [key], NAME), undefined);
  for (const name of ['value', 'fence', 'expiresAt', 'marginMs', 'refreshAtLeftMs']) {
    for (const value of [undefined, null, {}, [], true, '', name === 'value' ? 5 : '5', -1]) {
      assert.equal(openEntry(sealed({ [name]: value }), [key], NAME), undefined, `${name} ${value}`);
    }
  }
  for (const name of ['keyId', 'source']) {
    for (const value of [null, 5, {}])
      assert.equal(openEntry(sealed({ [name]: value }), [key], NAME), undefined);
  }
  for (const text of ['null', '5', '"a"', '[]', '{}', '', 'not JSON', '{"value":"a"}']) {
    assert.equal(openEntry(seal(text, key, NAME), [key], NAME), undefined, text);
  }
});

test('what Redis says of the time that is left never prolongs an entry, whatever it says', () => {
  for (const leftMs of [Number.POSITIVE_INFINITY, 1e300, 9e15]) {
    assert.equal(issuedOf(entry, leftMs, NOW, 1)?.lifetimeMs, 600_000);
  }
  for (const leftMs of [Number.NaN, Number.NEGATIVE_INFINITY, -1, 0]) {
    assert.equal(issuedOf(entry, leftMs, NOW, 1), undefined, `${leftMs}`);
  }
  // By a clock that is behind, and by one that is ahead.
  assert.equal(issuedOf(entry, 300_000, NOW - 3_600_000, 1)?.lifetimeMs, 300_000 + entry.marginMs);
  assert.equal(issuedOf(entry, 300_000, NOW + 3_600_000, 1), undefined);
});
