import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { because, toYaml } from '../../../src/lib/commented-yaml.ts';

test('what a terminal would obey is escaped where YAML reads an escape, and comes back as it was', () => {
  const hostile = 'a\x9b2J\u202eb\u2028c\ufeff';
  const value = { [hostile]: [hostile, 'plain'], nested: { 'turned\u202e': hostile } };
  const text = toYaml({ ...value, reason: because(hostile, hostile) }, hostile);
  assert.doesNotMatch(text, /[^\n\P{C}]|[\p{Zl}\p{Zp}]/u);
  assert.deepEqual(parse(text), { ...value, reason: hostile });
});
