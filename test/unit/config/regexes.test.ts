import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

function problems(...policies: readonly (readonly [hosts: string, count: number])[]): readonly string[] {
  const outbound = policies.map(([hosts, count], i) => {
    const paths = Array.from({ length: count }, (_, j) => `{ regex: "/${j}" }`);
    return `  - { name: p${i}, match: { hosts: [${hosts}], paths: [${paths}] }, inject: { source: a } }\n`;
  });
  const text = `version: 1
listen: { check: unix:///run/bearerd/check.sock }
sources: { a: { static: { value: { file: /a } } } }
outbound:
${outbound.join('')}`;
  try {
    parseConfig(text, 'bearerd.yaml');
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map(({ path, message }) => `${path}: ${message.split(';')[0]}`);
  }
}

const tooMany = (policy: number, host: string) =>
  `outbound[${policy}].match.paths: more than 100 regular expressions for the host ${host}`;

test('a request is held against a hundred regular expressions at most, whichever patterns cover its host', () => {
  assert.deepEqual(problems(['a.b', 100]), []);
  assert.deepEqual(problems(['a.b', 101]), [tooMany(0, 'a.b')]);
  assert.deepEqual(problems(['a.b', 60], ['a.b', 60]), [tooMany(1, 'a.b')]);
  assert.deepEqual(problems(['a.b', 60], ['"*.b"', 60]), [tooMany(0, 'a.b')]);
  assert.deepEqual(problems(['"*.c.b"', 60], ['"*.b"', 60]), [tooMany(0, '*.c.b')]);
  assert.deepEqual(problems(['a.b', 60], ['"*.a.b"', 60], ['c.b', 60]), []);
  // A request has one port.
  assert.deepEqual(problems(['"a.b:80", "a.b:81"', 60]), []);
});
