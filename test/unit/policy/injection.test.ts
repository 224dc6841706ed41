import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { HeaderInjection } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';
import { compileInjection } from '../../../src/policy/injection.ts';

const header = (more: Partial<HeaderInjection>) =>
  compileInjection({
    source: 'orders',
    headers: [{ name: 'authorization', prefix: 'Bearer ', basic: undefined, ...more }],
    query: undefined,
  }).headers[0]!;

const FORMS = [
  header({}),
  header({ prefix: '' }),
  header({ prefix: ':basic' }),
  header({ prefix: 'Basic ' }),
  header({ prefix: 'Basic ', basic: { username: undefined } }),
  header({ prefix: 'Basic ', basic: { username: 'svc' } }),
];

test('the credential is found again in the value that was made of it', () => {
  for (const form of FORMS) assert.equal(form.credentialIn(form.valueOf('user:pass')), 'user:pass');
  assert.equal(header({}).credentialIn('Basic x'), undefined);
  assert.equal(FORMS[5]!.credentialIn(`Basic ${btoa('another:pass')}`), undefined);
});

test('secrets of different content never share a name', () => {
  assert.equal(new Set(FORMS.map(({ secretName }) => secretName)).size, FORMS.length);
  assert.equal(FORMS[0]!.secretName, 'orders');
});

function problemsOf(inject: object): readonly string[] {
  const file = {
    version: 1,
    listen: { xds: 'unix:///x.sock' },
    sources: { orders: { static: { value: { env: 'KEY' } } } },
    outbound: [
      { name: 'orders', match: { hosts: ['a.example.com'] }, inject: { source: 'orders', ...inject } },
    ],
  };
  try {
    return parseConfig(JSON.stringify(file), '/etc/bearerd.yaml').outbound[0]!.inject.headers.map(
      ({ name, prefix }) => `${name}: ${prefix}`,
    );
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(
      ({ path, message }) => `${path.replace('outbound[0].inject.', '')}: ${message}`,
    );
  }
}

test('what is stated twice or does not go together is refused at its place', () => {
  const rows: readonly (readonly [object, readonly string[]])[] = [
    [{}, ['authorization: Bearer ']],
    [{ query: 'key' }, []],
    [{ query: 'key', header: 'x-key' }, ['x-key: ']],
    [{ basic: {} }, ['authorization: Basic ']],
    [{ headers: [{ name: 'A' }, { name: 'authorization' }] }, ['a: ', 'authorization: Bearer ']],
    [{ headers: [{ name: 'a' }, { name: 'A' }] }, ['headers: a stands here twice']],
    [{ headers: [{ name: 'a' }], header: 'b' }, ['header: header does not go with headers']],
    [{ basic: {}, prefix: 'x' }, ['prefix: basic has a prefix of its own']],
    ...['a:b', 'x'.repeat(257)].map(
      (username) =>
        [
          { basic: { username } },
          [
            'basic.username: a username has at most 256 visible ASCII characters and spaces, and no colon (RFC 7617 section 2)',
          ],
        ] as const,
    ),
    [
      { query: 'a&b' },
      ['query: expected the name of a query parameter: letters, digits, ".", "_", "~" and "-", got "a&b"'],
    ],
  ];
  for (const [inject, expected] of rows)
    assert.deepEqual(problemsOf(inject), expected, JSON.stringify(inject));
});
