import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

const GOOD = 'signed_jwt: { keys: { directory: keys }, issuer: i, subject: s, audience: a }';

test('defaults: five minutes, ten minutes ahead, the algorithm of the key', () => {
  const source = sourceOf(GOOD);
  assert.ok(source.type === 'signed_jwt');
  assert.deepEqual(source.keys, { from: 'directory', path: '/etc/bearerd/keys' });
  assert.deepEqual(
    [source.lifetimeMs, source.publishAheadMs, source.alg, source.audience, source.typ],
    [300_000, 600_000, undefined, ['a'], 'JWT'],
  );
});

const BAD: readonly (readonly [string, string, RegExp])[] = [
  [
    'a longer life',
    GOOD.replace(' }', ', lifetime: 16m }').replace(
      'keys: { directory: keys, lifetime: 16m }',
      'lifetime: 16m, keys: { directory: keys }',
    ),
    /lifetime: expected a duration from 10s to 15m/,
  ],
  [
    'a claim that has a key of its own',
    GOOD.replace('issuer: i', 'issuer: i, claims: { sub: x }'),
    /claims\.sub: sub is set by another key/,
  ],
  [
    'two places of keys',
    GOOD.replace('directory: keys', 'directory: keys, files: [{ file: k }]'),
    /exactly one of directory and files/,
  ],
  ['no audience', GOOD.replace('audience: a', 'audience: []'), /audience: expected at least one audience/],
  [
    'an unknown algorithm',
    GOOD.replace('issuer: i', 'issuer: i, alg: none'),
    /alg: expected ES256, EdDSA, RS256 or HS256, got "none"/,
  ],
];
for (const [what, text, expected] of BAD) {
  test(`${what} is refused`, () => assert.match(problemsOf(text).join('\n'), expected));
}
