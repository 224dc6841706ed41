import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applyChanges, EditFault, type KeyVerb, planChanges } from '../../../src/key-ring/edit.ts';
import { unifiedPatch } from '../../../src/key-ring/patch.ts';
import { parseKeyRing } from '../../../src/key-ring/ring.ts';

const NOW = Date.UTC(2026, 10, 25);
const RING = `# keys of the account "checkout": in_use, activated, revoked are states
keys:
  - id: a
    value: { file: a }   # in_use since August
    not_before: 2026-08-01T00:00:00Z
    expires_at: 2026-12-01T00:00:00Z
    state: "in_use" # the word stays in its quotes

  - {id: b, state: activated, value: {file: b}, not_before: 2026-11-01T00:00:00Z}
  - {id: c, state: generated, value: {file: c}, not_before: 2026-11-01T00:00:00Z}
  - {id: s, state: suspended, value: {file: s}, not_before: 2026-11-01T00:00:00Z}
  - {id: r, state: revoked, value: {file: r}, not_before: 2026-11-01T00:00:00Z}
  - {id: e, state: generated, value: {file: e}, not_before: 2025-11-01T00:00:00Z, expires_at: 2026-01-01T00:00:00Z}
`;
const edit = (verb: KeyVerb, id: string) =>
  applyChanges(RING, planChanges(parseKeyRing(RING, 'ring'), verb, id, NOW));
const statesOf = (text: string) => parseKeyRing(text, 'ring').map(({ id, state }) => `${id} ${state}`);

describe('activate goes one step', () => {
  test('generated and suspended become activated', () => {
    assert.ok(statesOf(edit('activate', 'c')).includes('c activated'));
    assert.ok(statesOf(edit('activate', 's')).includes('s activated'));
  });
  test('activated becomes in_use, and the one before stays beside it; nothing else of the text changes', () => {
    const expected = RING.replace('"in_use"', '"activated"').replace(
      '{id: b, state: activated',
      '{id: b, state: in_use',
    );
    assert.equal(edit('activate', 'b'), expected);
  });
});

test('suspend and revoke change one word', () => {
  assert.equal(edit('suspend', 'a'), RING.replace('"in_use"', '"suspended"'));
  assert.equal(edit('revoke', 's'), RING.replace('state: suspended', 'state: revoked'));
});

describe('what is not allowed says why', () => {
  const cases: readonly (readonly [KeyVerb, string, RegExp])[] = [
    ['activate', 'a', /a is in use already/],
    ['activate', 'r', /r is revoked: that is for good/],
    ['revoke', 'r', /for good/],
    ['suspend', 's', /suspended already/],
    ['activate', 'e', /e has expired/],
    ['suspend', 'x', /no key has the id x; there are a, b, c, s, r, e/],
  ];
  for (const [verb, id, message] of cases) {
    test(`${verb} ${id}`, () =>
      assert.throws(
        () => edit(verb, id),
        (error) => error instanceof EditFault && message.test(error.message),
      ));
  }
});

test('the patch has the changed lines with three around them, near ones in one hunk', () => {
  const patch = unifiedPatch('/etc/ring.yaml', RING, edit('activate', 'b'));
  assert.match(patch, /^--- a\/etc\/ring\.yaml\n\+\+\+ b\/etc\/ring\.yaml\n@@ -4,9 \+4,9 @@\n/);
  assert.equal(patch.match(/^@@/gm)!.length, 1);
  assert.equal(patch.match(/^[-+] /gm)!.length, 4);
  assert.equal(unifiedPatch('x', RING, RING), '');
});
