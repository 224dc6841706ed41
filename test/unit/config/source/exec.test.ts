import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemsOf, sourceOf } from '../../../support/source-config.ts';

test('the program is a file relative to the configuration, its arguments are left as they are', () => {
  const source = sourceOf('exec: { command: [./token.sh, ./x, "$(id)"], env: [HOME] }');
  assert.ok(source.type === 'exec');
  assert.deepEqual(source.command, ['/etc/bearerd/token.sh', './x', '$(id)']);
  assert.deepEqual([source.env, source.timeoutMs], [['HOME'], 4_000]);
});

const BAD: readonly (readonly [string, string, RegExp])[] = [
  [
    'a name to look up',
    '{ command: [aws, eks] }',
    /command: expected the file of the program, e\.g\. \/usr\/local\/bin\/aws/,
  ],
  ['a command line', '{ command: /bin/token --x }', /command: expected a list/],
  ['no command', '{ command: [] }', /command: expected at least one entry/],
  [
    'a limit beyond the store’s',
    '{ command: [/x], timeout: 6s }',
    /timeout: expected a duration from 10ms to 5s/,
  ],
  [
    'a variable with its value',
    '{ command: [/x], env: [A=b] }',
    /expected the name of an environment variable/,
  ],
];
for (const [what, text, expected] of BAD) {
  test(`${what} is refused`, () => assert.match(problemsOf(`exec: ${text}`).join('\n'), expected));
}
