// Files change as Kubernetes changes them: by swapping a symbolic link above.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/lib/clock.ts';
import { watchFile } from '../../../src/lib/watch.ts';

test('a swapped link and a file that appears late are noticed within 2 s, an unchanged one never', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-watch-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const put = (version: string) => {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, 'token'), 'same length');
    symlinkSync(version, join(folder, '..next'));
    renameSync(join(folder, '..next'), join(folder, '..data'));
  };
  put('..1');
  const told = { swapped: 0, late: 0 };
  const stops = [
    watchFile(join(folder, '..data', 'token'), systemClock, () => told.swapped++),
    watchFile(join(folder, 'late'), systemClock, () => told.late++),
  ];
  t.after(() => {
    for (const stop of stops) stop();
  });
  // The timers keep no process alive.
  await sleep(1_200);
  assert.deepEqual(told, { swapped: 0, late: 0 });
  const begun = performance.now();
  put('..2');
  writeFileSync(join(folder, 'late'), 'here');
  while (told.swapped + told.late < 2 && performance.now() - begun < 5_000) await sleep(20);
  const ms = performance.now() - begun;
  t.diagnostic(`noticed after ${ms.toFixed(0)} ms (at most 2000)`);
  assert.deepEqual(told, { swapped: 1, late: 1 });
  assert.ok(ms <= 2_000);
});
