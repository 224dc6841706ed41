import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseKeyRing, RingFault } from '../../../src/key-ring/ring.ts';

const RING = `# who: platform team
keys:
  - id: "2026-08"   # the old one
    value: { file: keys/old }
    not_before: 2026-08-01T00:00:00Z
    expires_at: 2026-12-01T00:00:00Z
    state: in_use
  - { id: b, value: { file: /abs/new }, not_before: "2026-11-01T00:00:00+01:00", state: activated }
`;
const parse = (text: string) => parseKeyRing(text, '/etc/ring.yaml');

test('keys are read with absolute files, and times in any zone', () => {
  const [old, next] = parse(RING);
  assert.deepEqual(
    [old!.id, old!.file, old!.state, old!.expiresAt],
    ['2026-08', '/etc/keys/old', 'in_use', Date.UTC(2026, 11, 1)],
  );
  assert.deepEqual(
    [next!.file, next!.notBefore, next!.expiresAt],
    ['/abs/new', Date.UTC(2026, 9, 31, 23), Number.POSITIVE_INFINITY],
  );
  assert.equal(RING.slice(...old!.stateAt), 'in_use');
});

describe('a ring that cannot be used is refused with its place', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['no YAML', 'keys: [', /^\/etc\/ring\.yaml:\d+:\d+: not YAML/],
    ['no keys', 'keys: []', /at least one entry/],
    [
      'an unknown state',
      RING.replace('state: in_use', 'state: inuse'),
      /:7:12: expected state of key 2026-08: .*did you mean in_use\?/,
    ],
    ['a number as id', RING.replace('"2026-08"', '2026'), /:3:9: expected id: .*in quotes/],
    [
      'a mistyped field',
      RING.replace('expires_at', 'expire_at'),
      /unknown key "expire_at"; did you mean expires_at\?/,
    ],
    [
      'a value in the file itself',
      RING.replace('{ file: keys/old }', 'canary'),
      /:4:12: expected value: \{ file: \/path \} of key 2026-08/,
    ],
    [
      'a time without zone',
      RING.replace('2026-08-01T00:00:00Z', '2026-08-01T00:00:00'),
      /:5:17: expected not_before .* as 2026-/,
    ],
    ['an end before the start', RING.replace('2026-12', '2026-07'), /expires_at of key 2026-08 is not after/],
    ['the same id twice', RING.replace('id: b', 'id: "2026-08"'), /:8:11: the id 2026-08 stands there twice/],
    ['two in use', RING.replace('activated', 'in_use'), /only one key is in_use, and 2026-08 is already/],
    ['an alias', `x: &a {}\n${RING.replace('{ file: keys/old }', '*a')}`, /:5:12: write it out/],
  ];
  for (const [what, text, message] of cases) {
    test(what, () => {
      assert.throws(
        () => parse(text),
        (error) => error instanceof RingFault && message.test(error.message) && !/canary/.test(error.message),
      );
    });
  }
});
