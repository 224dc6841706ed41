import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonFault, parseStrictJson } from '../../../src/lib/strict-json.ts';

test('what JSON.parse reads is read alike, while no key stands there twice', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseStrictJson(text), JSON.parse(text));
    }),
  );
});

const REFUSED: readonly (readonly [string, string, RegExp])[] = [
  ['a key twice', '{"token":"a","token":"b"}', /twice/],
  ['a key twice in another spelling', '{"a":1,"\\u0061":2}', /twice/],
  ['a key twice deep inside', '[{"x":{"y":"}","y":1}}]', /twice/],
  ['cut JSON', '{"token":"secret', /^not JSON$/],
  ['deep nesting', `${'['.repeat(33)}${']'.repeat(33)}`, /deeper than 32/],
];
for (const [what, text, message] of REFUSED) {
  test(`${what} is refused without a quote`, () => {
    assert.throws(
      () => parseStrictJson(text),
      (error) => error instanceof JsonFault && message.test(error.message) && !/secret/.test(error.message),
    );
  });
}

test('the same key in two objects is no fault', () => {
  assert.deepEqual(parseStrictJson('[{"a":"{"},{"a":"\\"a\\":"}]'), [{ a: '{' }, { a: '"a":' }]);
});
