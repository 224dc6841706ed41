// k8s/ is what src/kubernetes says.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

test('the manifests and the chart are what the generator makes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-k8s-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  await promisify(execFile)(process.execPath, ['tools/k8s.ts', folder]);
  const read = (cwd: string) =>
    Object.fromEntries(
      globSync('{manifests,chart}/**', { cwd })
        .filter((file) => statSync(join(cwd, file)).isFile())
        .sort()
        .map((file) => [file, readFileSync(join(cwd, file), 'utf8')]),
    );
  const made = read(join(folder, 'k8s'));
  assert.ok(Object.keys(made).length > 10);
  assert.deepEqual(read('k8s'), made, 'run "npm run k8s"');
});
