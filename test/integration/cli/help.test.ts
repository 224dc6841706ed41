// What --help of each verb has, and that its examples are command lines which the verb takes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bearerd } from '../../support/command-line.ts';

const { out: overview } = await bearerd('--help');
const verbs = [
  ...new Set([...overview.matchAll(/^ {2}([a-z][a-z-]*)(?= )/gm)].map(([, verb]) => verb!)),
].flatMap((verb) =>
  verb === 'generate' ? ['envoy', 'istio', 'kubernetes'].map((what) => [verb, what]) : [[verb]],
);

/** As a shell splits it; what follows a pipe or a redirection is not ours. */
function words(line: string): string[] {
  const [own] = line.split(/ [|<>] /);
  return [...own!.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare!);
}

test('the overview names every verb and what exit codes mean', () => {
  assert.ok(verbs.length > 18, `only ${verbs.length}`);
  assert.match(overview, /^Exit code 0 = .*1 = .*2 = wrong command line/m);
});

for (const verb of verbs) {
  test(`${verb.join(' ')} --help has usage, examples that it takes, and its exit codes, in lines of a terminal`, async () => {
    const { code, out, err } = await bearerd(...verb, '--help');
    assert.deepEqual([code, err], [0, '']);
    assert.ok(out.startsWith(`Usage: bearerd ${verb.join(' ')}`), out);
    assert.match(out, /^Exit code 0 = .*, 1 = /m);
    const tooLong = out.split('\n').filter((line) => line.length > 130);
    assert.deepEqual(tooLong, []);
    const [, examples] = /^Examples?:\n((?: {2}.*\n)+)/m.exec(out) ?? [];
    const lines = [...(examples ?? '').matchAll(/^ {2}(.*)$/gm)].map(([, line]) => line!);
    assert.ok(lines.length > 0, out);
    for (const line of lines) {
      // Of a pipe the verb is the last part.
      const own = line.slice(line.lastIndexOf('bearerd '));
      const [name, ...args] = words(own);
      assert.deepEqual([name, ...args.slice(0, verb.length)], ['bearerd', ...verb], line);
      // Standard input would be waited for.
      const { code: exit, err: said } = await bearerd(...args.map((arg) => (arg === '-' ? '/nowhere' : arg)));
      assert.notEqual(exit, 2, `${line}: ${said}`);
    }
  });
}
