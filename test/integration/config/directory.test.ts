// A directory as the kubelet lays it out, read while it is exchanged.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../../src/config/load.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-directory-'));
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

test('no configuration is made of two versions of a directory that is exchanged while it is read', async (t) => {
  const volume = join(folder, 'volume');
  const lay = (version: number): void => {
    const own = join(volume, `..${version}`);
    mkdirSync(own, { recursive: true });
    const listen = 'listen: { check: unix:///run/bearerd/check.sock }';
    writeFileSync(join(own, '00-local.yaml'), `version: 1\n${listen}\nmax_wait: ${1_000 + version}ms\n`);
    for (let i = 1; i < 10; i++) {
      const name = `source-${i}-${version}`;
      writeFileSync(
        join(own, `${i}0-more.yaml`),
        `version: 1\nsources: { ${name}: { static: { value: { env: X } } } }\n`,
      );
    }
    symlinkSync(`..${version}`, join(volume, '..data_tmp'));
    renameSync(join(volume, '..data_tmp'), join(volume, '..data'));
    if (version > 1) rmSync(join(volume, `..${version - 1}`), { recursive: true });
  };
  lay(1);
  for (const name of ['00-local', ...Array.from({ length: 9 }, (_, i) => `${i + 1}0-more`)]) {
    symlinkSync(join('..data', `${name}.yaml`), join(volume, `${name}.yaml`));
  }
  let done = false;
  let version = 1;
  const exchanging = (async () => {
    while (!done) {
      lay(++version);
      await sleep(version % 7);
    }
  })();
  const seen = new Set<number>();
  let gaveUp = 0;
  for (let i = 0; i < 150; i++) {
    try {
      const { maxWaitMs, sources } = await loadConfig(volume);
      const versions = new Set(sources.map(({ name }) => Number(name.split('-')[2])));
      assert.deepEqual([...versions], [maxWaitMs - 1_000]);
      seen.add(maxWaitMs);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      gaveUp++;
    }
  }
  done = true;
  await exchanging;
  t.diagnostic(`${version} exchanges, ${seen.size} versions read whole, ${gaveUp} of 150 readings given up`);
  assert.ok(seen.size > 5, `${seen.size}`);
});

test('hidden files and subdirectories are passed over, and an empty directory is told', async () => {
  const empty = join(folder, 'empty');
  mkdirSync(join(empty, 'sub.yaml'), { recursive: true });
  writeFileSync(join(empty, '.hidden.yaml'), 'not: read');
  writeFileSync(join(empty, 'README.md'), 'not read');
  await assert.rejects(loadConfig(empty), (error: ConfigError) => {
    assert.equal(error.problems[0]!.message, 'has no file ending in .yaml, .yml or .json');
    return true;
  });
});
