// src/gen is what proto/ says.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

test('a fresh generation equals the committed code', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-gen-'));
  try {
    execFileSync(process.execPath, ['tools/gen.ts', folder], { timeout: 60_000 });
    const read = (cwd: string) =>
      Object.fromEntries(
        globSync('**/*.ts', { cwd })
          .sort()
          .map((file) => [file, readFileSync(join(cwd, file), 'utf8')]),
      );
    assert.deepEqual(read('src/gen'), read(folder), 'run "npm run gen"');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
