// bearerd keys as an operator calls it, on a real file.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseKeyRing } from '../../../src/key-ring/ring.ts';
import { bearerd } from '../../support/command-line.ts';
import { ringText } from '../../support/key-ring.ts';
import { startProcess } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-keys-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, 'ring.yaml');
const TEXT = `# ours\n${ringText([
  { id: 'a', state: 'in_use', from: -100, to: 3 },
  { id: 'b', state: 'generated', to: 90 },
])}# end\n`;

async function keys(...args: string[]) {
  const child = await startProcess(process.execPath, ['bin/bearerd.js', 'keys', ...args], {
    name: 'bearerd',
  });
  const { code } = await child.exited;
  return { code, output: child.output() };
}

test('list shows states, times and notices, never values', async () => {
  writeFileSync(file, TEXT);
  const { code, output } = await keys('list', file);
  assert.equal(code, 0, output);
  assert.match(output, /^id +state +not before +expires +notices\n/);
  assert.match(output, /^a +in_use .*expires within 7 days, older than 90 days$/m);
  assert.match(output, /^b +generated +\S+Z +\S+Z$/m);
});

test('activate twice puts the new key into use beside the old one; mode, link and comments stay', async () => {
  writeFileSync(file, TEXT);
  chmodSync(file, 0o640);
  const link = join(folder, 'link.yaml');
  symlinkSync('ring.yaml', link);
  assert.match((await keys('activate', link, 'b')).output, /^b: generated -> activated\n$/);
  assert.match(
    (await keys('activate', link, 'b')).output,
    /^b: activated -> in_use\na: in_use -> activated\n$/,
  );
  assert.equal(
    readFileSync(file, 'utf8'),
    TEXT.replace('in_use', 'activated').replace('generated', 'in_use'),
  );
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.ok(lstatSync(link).isSymbolicLink());
});

test('--print writes nothing, and git applies the patch', async () => {
  writeFileSync(file, TEXT);
  const patch = execFileSync(process.execPath, ['bin/bearerd.js', 'keys', 'revoke', file, 'a', '--print'], {
    encoding: 'utf8',
  });
  assert.equal(readFileSync(file, 'utf8'), TEXT);
  execFileSync('git', ['apply', '--unsafe-paths', '--directory', '/', '-p1', '-'], {
    input: patch,
    cwd: '/',
  });
  assert.equal(readFileSync(file, 'utf8'), TEXT.replace('in_use', 'revoked'));
});

test('what cannot be done ends with 1 and says why; a wrong command line ends with 2', async () => {
  writeFileSync(file, TEXT);
  const unknown = await keys('activate', file, 'x');
  assert.equal(unknown.code, 1);
  assert.match(unknown.output, /no key has the id x; there are a, b/);
  writeFileSync(file, TEXT.replace('in_use', 'used'));
  const broken = await keys('list', file);
  assert.equal(broken.code, 1);
  assert.match(broken.output, /ring\.yaml:3:\d+: expected state of key a/);
  assert.match((await keys('list', join(folder, 'none'))).output, /cannot be read: ENOENT/);
  assert.match((await bearerd('keys', 'revoke', join(folder, 'none'), 'a')).err, /cannot be read: ENOENT/);
  assert.match((await keys('actvate', file, 'a')).output, /did you mean activate\?/);
  assert.equal((await keys('revoke', file)).code, 2);
});

test('taking the last usable key away is done and warned of', async () => {
  writeFileSync(file, TEXT);
  assert.match((await keys('suspend', file, 'a')).output, /no key is activated or in use now/);
});

test('of several at a time each change that is told as done is there; who comes too late is told so', async () => {
  const ids = ['a', 'b', 'c', 'd', 'e', 'f'];
  writeFileSync(file, ringText(ids.map((id) => ({ id, state: 'activated' }))));
  let left = ids;
  for (let round = 0; left.length > 0; round++) {
    const said = await Promise.all(left.map((id) => bearerd('keys', 'suspend', file, id)));
    const states = new Map(
      parseKeyRing(readFileSync(file, 'utf8'), file).map(({ id, state }) => [id, state]),
    );
    for (const [i, { code, err }] of said.entries()) {
      if (code === 0) assert.equal(states.get(left[i]!), 'suspended', `${left[i]} in round ${round}`);
      else assert.match(err, /another process holds .*ring\.yaml; try again, or --print/);
    }
    left = left.filter((_, i) => said[i]!.code !== 0);
    assert.ok(round < 50);
  }
});

test('a ring stays its owner’s, also when somebody else changes it', {
  skip: process.getuid!() === 0 ? false : 'needs root',
}, async () => {
  writeFileSync(file, TEXT);
  chmodSync(file, 0o600);
  chownSync(file, 12_345, 54_321);
  assert.equal((await bearerd('keys', 'suspend', file, 'a')).code, 0);
  const { uid, gid, mode } = statSync(file);
  assert.deepEqual([uid, gid, mode & 0o777], [12_345, 54_321, 0o600]);
});
