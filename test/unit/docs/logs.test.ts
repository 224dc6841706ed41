// docs/logs.md has every log message and every field, and no message that is not there.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const page = readFileSync('docs/logs.md', 'utf8');
const source = ['log-observer', 'log-texts', 'audit/audit', 'logger']
  .map((file) => readFileSync(`src/telemetry/${file}.ts`, 'utf8').replace(/^\s*(\/\/|\*|\/\*).*$/gm, ''))
  .join('\n');

test('every message of the program is in docs/logs.md, and every one of the page is in the program', () => {
  // A message has words; anything else in quotes is a name.
  const messages = [...source.matchAll(/'([a-zA-Z][^'\n]* [^'\n]+)'/g)].map(([, text]) => text!);
  assert.ok(messages.length > 45, `only ${messages.length} found`);
  assert.deepEqual(
    messages.filter((message) => !page.includes(`\`${message}\``)),
    [],
  );
  const told = [...page.matchAll(/^\| `([^`]+ [^`]+)` \|/gm)].map(([, text]) => text!);
  assert.deepEqual(
    told.filter((text) => !source.includes(text)),
    [],
  );
});

test('every field of a log line is in docs/logs.md', () => {
  const fields = [
    ...source.matchAll(/\b(?:log|line\?|once\(.*\)\?)(?:\.\w+|\[[^\]]*\])\(\s*\{([^}]*)\}/g),
  ].flatMap(([, body]) =>
    body!
      .split(',')
      .map((part) => /^\s*([a-z]\w*)/.exec(part)?.[1])
      .filter((name) => name !== undefined),
  );
  assert.ok(fields.length > 60, `only ${fields.length} found`);
  assert.deepEqual(
    [...new Set(fields)].filter((field) => !page.includes(`| \`${field}\` |`)),
    [],
  );
});

test('every operation is in docs/logs.md, and none that is not there', () => {
  const lines = readFileSync('src/telemetry/log-observer.ts', 'utf8');
  const events = [...lines.matchAll(/^ {4}([a-z]\w+)\(.*\) \{$/gm)].map(([, name]) =>
    name!.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  );
  const direct = [...source.matchAll(/operation: '(\w+)'/g)].map(([, name]) => name!);
  assert.ok(events.length > 40, `only ${events.length} found`);
  const [, told] = /^## Operations\n([^#]*)/m.exec(page)!;
  assert.deepEqual(
    [...told!.matchAll(/`(\w+)`/g)].map(([, name]) => name!).filter((name) => name !== 'operation'),
    [...new Set([...events, ...direct, 'configuration_in_force'])].sort(),
  );
});
