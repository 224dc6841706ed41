// One holder at a time, among real processes that are killed.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { acquireHolderLock, NotHeldError } from '../../../src/lib/holder-lock.ts';
import { startProcess } from '../../support/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-lock-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A process that holds the lock until it is killed. */
async function holder(path: string) {
  const code = `import { acquireHolderLock } from ${JSON.stringify(join(process.cwd(), 'src/lib/holder-lock.ts'))};
    await acquireHolderLock(${JSON.stringify(path)}).then(() => console.log('held'), (e) => console.log(e.message));
    setInterval(() => {}, 1000);`;
  return startProcess(process.execPath, ['--input-type=module', '-e', code], { name: 'holder' });
}

test('a lock is refused while its holder lives, and had at once after kill -9', async (t) => {
  const path = join(folder, 'killed');
  const first = await holder(path);
  t.after(() => first.stop());
  await first.waitForOutput(/held/);
  await assert.rejects(acquireHolderLock(path), (error) => {
    assert.ok(error instanceof NotHeldError);
    assert.match(error.message, /another process holds .*killed/);
    return true;
  });
  first.child.kill('SIGKILL');
  await first.exited;
  await (await acquireHolderLock(path)).release();
});

test('of many that find a dead one at once, at most one has it', async () => {
  const path = join(folder, 'raced');
  let rounds = 0;
  for (let round = 0; round < 10; round++) {
    const dead = await holder(path);
    await dead.waitForOutput(/held/);
    dead.child.kill('SIGKILL');
    await dead.exited;
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => acquireHolderLock(path)));
    const held = all.filter((result) => result.status === 'fulfilled');
    // None is possible, when all saw each other; two never.
    assert.ok(held.length <= 1, `${held.length} hold it in round ${round}`);
    rounds += held.length;
    await held[0]?.value.release();
  }
  assert.ok(rounds > 0, 'nobody ever had it');
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('raced')),
    [],
  );
});

test('a path that no socket can have, and a folder that is not there, are told', async () => {
  await assert.rejects(acquireHolderLock(join(folder, 'x'.repeat(100))), /longer than 99 bytes/);
  await assert.rejects(acquireHolderLock(join(folder, 'none', 'x')), /cannot be made: /);
});
