import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTokenFault, parseChallenges } from '../../../../src/doors/feedback/challenge.ts';

const read = (value: string) =>
  parseChallenges(value).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);

const table: readonly [string, unknown][] = [
  ['', []],
  ['Bearer', [['bearer', {}]]],
  ['Bearer realm="a"', [['bearer', { realm: 'a' }]]],
  ['BEARER Error = "invalid_token"', [['bearer', { error: 'invalid_token' }]]],
  ['Bearer error=invalid_token', [['bearer', { error: 'invalid_token' }]]],
  [
    'Bearer realm="a, b=c \\"d\\" \\\\", error="invalid_token"',
    [['bearer', { realm: 'a, b=c "d" \\', error: 'invalid_token' }]],
  ],
  [
    'Basic realm="x", Bearer error="invalid_token", DPoP algs="ES256"',
    [
      ['basic', { realm: 'x' }],
      ['bearer', { error: 'invalid_token' }],
      ['dpop', { algs: 'ES256' }],
    ],
  ],
  [
    'Negotiate abc==, Bearer error="invalid_token"',
    [
      ['negotiate', {}],
      ['bearer', { error: 'invalid_token' }],
    ],
  ],
  [
    'Negotiate, ,, Bearer scope=a',
    [
      ['negotiate', {}],
      ['bearer', { scope: 'a' }],
    ],
  ],
  // A forgotten comma is common.
  ['Bearer realm="x" error="invalid_token"', [['bearer', { realm: 'x', error: 'invalid_token' }]]],
  // Text inside a quoted string is no parameter.
  [
    'Bearer error_description="error=\\"invalid_token\\""',
    [['bearer', { error_description: 'error="invalid_token"' }]],
  ],
  ['Bearer error="a", error="b"', [['bearer', { error: 'a' }]]],
  ['Bearer error="never closed', [['bearer', {}]]],
  ['error="invalid_token"', [['error', {}]]],
  ['"Bearer" error="invalid_token"', []],
  ['Bearer error="invalid\u0000token"', [['bearer', { error: 'invalid\u0000token' }]]],
];

test('challenges are read as RFC 9110 writes them', () => {
  for (const [value, expected] of table) assert.deepEqual(read(value), expected, JSON.stringify(value));
});

test('a long or hostile value takes no time', () => {
  const begun = process.hrtime.bigint();
  for (const part of ['a ', '"', 'a=', 'a,', ' ', 'a', '\\"', 'Bearer a=" ']) {
    parseChallenges(`Bearer ${part.repeat(100_000)}`);
  }
  assert.ok(process.hrtime.bigint() - begun < 500_000_000n);
});

test('which 401 a new token may mend, for both settings', () => {
  const rows: readonly [string | undefined, boolean, boolean][] = [
    // value, heal_on 401, heal_on invalid_token
    [undefined, true, false],
    ['Bearer', true, false],
    ['Bearer realm="login"', true, false],
    ['Bearer error="invalid_token"', true, true],
    ['bearer ERROR="invalid_token"', true, true],
    ['Basic realm="x", Bearer error="invalid_token"', true, true],
    ['Basic error="invalid_token"', true, false],
    ['Bearer error="insufficient_scope"', false, false],
    ['Bearer error="invalid_request"', false, false],
    ['Bearer error="insufficient_scope", Bearer error="invalid_token"', false, false],
    ['Basic realm="insufficient_scope"', true, false],
    ['Bearer error_description="error=invalid_token"', true, false],
    ['Bearer error="invalid_token_but_longer"', true, false],
    ['garbage "', true, false],
  ];
  for (const [value, on401, onInvalidToken] of rows) {
    assert.equal(isTokenFault('401', value), on401, `401: ${value}`);
    assert.equal(isTokenFault('invalid_token', value), onInvalidToken, `invalid_token: ${value}`);
  }
});
