import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { parseSealingKey, seal, unseal } from '../../../src/lib/sealed.ts';

const newKey = () => parseSealingKey(randomBytes(32).toString('base64'))!;
const key = newKey();

test('what was sealed opens with the same key at the same place', () => {
  for (const text of ['', 'a token', 'ä'.repeat(10_000)]) {
    assert.equal(unseal(seal(text, key, 'here'), [newKey(), key], 'here'), text);
  }
});

test('it opens with no other key and at no other place', () => {
  const sealed = seal('a token', key, 'here');
  assert.equal(unseal(sealed, [newKey()], 'here'), undefined);
  assert.equal(unseal(sealed, [key], 'there'), undefined);
  const other = newKey();
  assert.equal(unseal(sealed.replace(key.id, other.id), [other, key], 'here'), undefined);
});

test('a flipped bit anywhere, a cut at any length and foreign text do not open', () => {
  const sealed = seal('a token', key, 'here');
  for (let i = 0; i < sealed.length; i++) {
    const bytes = Buffer.from(sealed);
    bytes[i]! ^= 4;
    // The last character of base64url holds bits that mean nothing.
    if (i < sealed.length - 1)
      assert.equal(unseal(bytes.toString('latin1'), [key], 'here'), undefined, `at ${i}`);
    assert.equal(unseal(sealed.slice(0, i), [key], 'here'), undefined, `cut at ${i}`);
  }
  for (const text of ['', '.', '..', '....', `sealed1.${key.id}.`, 'x'.repeat(1 << 20), `${sealed}.x`]) {
    assert.equal(unseal(text, [key], 'here'), undefined);
  }
});

test('the same text sealed twice is two texts, and neither holds it', () => {
  const [a, b] = [seal('a token', key, 'here'), seal('a token', key, 'here')];
  assert.notEqual(a, b);
  assert.doesNotMatch(Buffer.from(a.split('.')[2]!, 'base64url').toString('latin1'), /a token/);
});

test('a key is 32 bytes, as hexadecimal digits or base64, and its id is its own', () => {
  const bytes = randomBytes(32);
  const id = parseSealingKey(bytes.toString('hex'))!.id;
  assert.equal(parseSealingKey(`${bytes.toString('base64')}\n`)!.id, id);
  assert.equal(parseSealingKey(bytes.toString('base64url'))!.id, id);
  for (const text of ['', 'password', randomBytes(16).toString('hex'), randomBytes(33).toString('base64')]) {
    assert.equal(parseSealingKey(text), undefined, text);
  }
});
