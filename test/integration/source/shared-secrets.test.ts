import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

test('a key of a ring and a signing key of a folder count as secrets too', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'signing'));
  for (const name of ['key', 'signing/1.pem', 'copy.pem']) writeFileSync(join(folder, name), `of ${name[0]}`);
  writeFileSync(join(folder, 'copy.pem'), 'of s');
  writeFileSync(
    join(folder, 'ring.yaml'),
    'keys: [{ id: a, value: { file: key }, not_before: 2026-01-01T00:00:00Z, state: in_use }]',
  );
  const jwt = (keys: object) => ({ keys, issuer: 'https://a.example.com', subject: 's', audience: 'a' });
  const { sources } = parseConfig(
    JSON.stringify({
      version: 1,
      listen: { xds: 'unix:///x.sock' },
      sources: {
        ring: { environment: 'prod', api_keys: { ring: 'ring.yaml' } },
        plain: { environment: 'dev', static: { value: { file: 'key' } } },
        signer: { environment: 'prod', signed_jwt: jwt({ directory: 'signing' }) },
        other: { environment: 'dev', signed_jwt: jwt({ files: [{ file: 'copy.pem' }] }) },
      },
    }),
    join(folder, 'bearerd.yaml'),
  );
  assert.deepEqual(await findSharedSecrets(sources, {}), [
    ['ring', 'plain'],
    ['signer', 'other'],
  ]);
});
