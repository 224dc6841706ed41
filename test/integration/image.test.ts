// The file system of the container image, run as a container would see it. No container engine is needed for that.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };

const run = promisify(execFile);
const skip = process.getuid?.() === 0 ? false : 'chroot needs root';

test('the image holds all that bearerd needs, and no shell', { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-image-'));
  // A new temporary folder is its owner's alone.
  chmodSync(folder, 0o755);
  await run(process.execPath, ['tools/image.ts', folder]);
  const inside = ['--userspec=65532:65532', folder, '/usr/bin/node', '/app/bin/bearerd.js'];
  assert.equal((await run('chroot', [...inside, '--version'])).stdout, `${manifest.version}\n`);
  assert.match((await run('chroot', [...inside, 'schema'])).stdout, /bearerd configuration/);
  assert.deepEqual(readdirSync(join(folder, 'usr/bin')), ['node']);
  assert.throws(() => readdirSync(join(folder, 'bin')), { code: 'ENOENT' });
});
