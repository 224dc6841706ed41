// One file a rule of the configuration: each ends with the problems that are to be told, with place and beginning of the
// message, and no others are.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const files = globSync('test/fixtures/invalid-config/*.yaml').sort();

test('there are fixtures', () => assert.ok(files.length > 25));

for (const file of files) {
  test(`${basename(file, '.yaml').replaceAll('-', ' ')} is refused with its place and the way out`, () => {
    const text = readFileSync(file, 'utf8');
    const expected = [...text.matchAll(/^# (\d+:\d+ .*)$/gm)].map(([, line]) => line!);
    assert.ok(expected.length > 0, 'the file does not say what is wrong with it');
    assert.throws(
      () => parseConfig(text, file),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError, String(error));
        const told = error.problems.map((p) => `${p.line}:${p.column} ${p.path}: ${p.message}`);
        assert.equal(told.length, expected.length, told.join('\n'));
        for (const [i, line] of told.entries()) assert.equal(line.slice(0, expected[i]!.length), expected[i]);
        return true;
      },
    );
  });
}
