import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import { findSharedSecrets } from '../../../src/source/shared-secrets.ts';

test('one secret in two environments is found by its value, wherever it stands', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'one'), 'the-secret\n');
  writeFileSync(join(folder, 'copy'), 'the-secret');
  writeFileSync(join(folder, 'other'), 'another');
  const key = (environment: string | undefined, ref: object) => ({ environment, static: { value: ref } });
  const { sources } = parseConfig(
    JSON.stringify({
      version: 1,
      listen: { xds: 'unix:///x.sock' },
      sources: {
        prod: key('prod', { file: 'one' }),
        again: key('prod', { file: 'one' }),
        staging: key('staging', { file: 'copy' }),
        'of-variable': key('test', { env: 'SECRET' }),
        'of-file': { environment: 'dev', file: { path: 'copy' } },
        different: key('staging', { file: 'other' }),
        absent: key('staging', { file: 'nowhere' }),
        neutral: key(undefined, { file: 'one' }),
      },
    }),
    join(folder, 'bearerd.yaml'),
  );
  assert.deepEqual(await findSharedSecrets(sources, { SECRET: 'the-secret' }), [
    ['prod', 'staging'],
    ['prod', 'of-variable'],
    ['prod', 'of-file'],
  ]);
});
