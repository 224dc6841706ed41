import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filled, mapTexts, placesOf } from '../../../src/lib/secret-template.ts';

test('a secret stands where its name stood, and what is in it is no place', () => {
  const secrets = new Map([
    ['key', 'a${other}$$'],
    ['other', 'b'],
  ]);
  assert.deepEqual(placesOf('x ${key} ${other}'), ['key', 'other']);
  assert.equal(filled('x ${key} ${other}', secrets), 'x a${other}$$ b');
});

test('$${ is a ${ of the text itself', () => {
  assert.deepEqual(placesOf('$${key}'), []);
  assert.equal(filled('$${key}', new Map([['key', 'x']])), '${key}');
});

test('every text of a JSON value is filled, keys and numbers are left', () => {
  const value = { '${key}': ['${key}', 1, null, { deep: 'x${key}' }] };
  assert.deepEqual(
    mapTexts(value, (text) => filled(text, new Map([['key', '"'] as const]))),
    { '${key}': ['"', 1, null, { deep: 'x"' }] },
  );
});
