import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escaped, printable } from '../../../src/lib/printable.ts';

// CSI as one and as two characters, a title, marks of direction and separators, a lone half of a pair, a tag beyond 16 bits.
const HOSTILE =
  '\x1b[2J\x9b2J\x1b]0;t\x07\x7f\x00\x85\u061c\u200b\u202e\u2066\u2028\u2029\ufeff\u{e0041}' +
  String.fromCharCode(0xd800);

test('a document that was escaped is the same document, and nothing in it is obeyed by a terminal', () => {
  const document = { node: HOSTILE, [HOSTILE]: ['ünïcode \u{1f600}'] };
  for (const indent of [undefined, 2]) {
    const text = escaped(JSON.stringify(document, null, indent));
    assert.doesNotMatch(text, /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u);
    assert.deepEqual(JSON.parse(text), document);
    assert.match(text, /ünïcode \u{1f600}/u);
  }
});

test('line ends and tabs stay, a carriage return that would write over its line does not', () => {
  assert.equal(escaped('a\tb\r\nc\n'), 'a\tb\r\nc\n');
  assert.equal(escaped('token\rnone \r\r\n'), 'token\\u000dnone \\u000d\r\n');
});

test('a piece of a line makes no line of its own', () => {
  assert.doesNotMatch(printable(`${HOSTILE}\r\n\t`), /[\p{C}\p{Zl}\p{Zp}]/u);
});
