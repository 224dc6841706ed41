// Every source that reads files follows them, when Kubernetes swaps ..data above them: one swap, all of them at once.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { kindNames } from '../../../src/config/source/kinds.ts';
import { readSecretFile } from '../../../src/lib/secret-ref.ts';
import { issueRequest } from '../../support/issue.ts';
import { writeRing } from '../../support/key-ring.ts';
import { privateKeyPem } from '../../support/signing-key.ts';
import { sourceOf } from '../../support/token-source.ts';

/** The words of a source whose files lie in `folder`; what calls somebody calls a port where nobody listens. */
const READERS: Readonly<Record<string, (folder: string) => object>> = {
  static: (folder) => ({ static: { value: { file: `${folder}/secret` } } }),
  file: (folder) => ({ file: { path: `${folder}/secret` } }),
  http: (folder) => ({
    http: {
      url: 'http://127.0.0.1:1/token',
      secrets: { a: { file: `${folder}/secret` } },
      headers: { x: '${a}' },
    },
  }),
  api_keys: (folder) => ({ api_keys: { ring: `${folder}/ring.yaml` } }),
  signed_jwt: (folder) => ({
    signed_jwt: {
      keys: { files: [{ file: `${folder}/key.pem` }] },
      issuer: 'i',
      subject: 's',
      audience: 'a',
    },
  }),
  client_credentials: (folder) => ({
    client_credentials: { ...provider, client_secret: { file: `${folder}/secret` } },
  }),
  jwt_bearer: (folder) => ({
    jwt_bearer: {
      ...provider,
      client_secret: { env: 'NONE' },
      assertion: { file: `${folder}/secret` },
    },
  }),
  token_exchange: (folder) => ({
    token_exchange: {
      ...provider,
      client_secret: { env: 'NONE' },
      subject_token: { file: `${folder}/secret` },
    },
  }),
  refresh_token: (folder) => ({
    refresh_token: {
      ...provider,
      client_secret: { file: `${folder}/secret` },
      store: { file: `${folder}/../stored`, key: { env: 'NONE' } },
    },
  }),
};

const provider = { token_endpoint: 'http://127.0.0.1:1/token', client_id: 'c' };

/** They read no file. */
const WITHOUT = ['exec', 'spiffe_jwt'];

test('every kind of source is in one of the two lists', () => {
  assert.deepEqual([...Object.keys(READERS), ...WITHOUT].sort(), [...kindNames].sort());
});

test('a swap of ..data is noticed by every kind of source within 2 s', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-files-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const put = (version: string) => {
    const next = join(folder, version);
    mkdirSync(next);
    writeFileSync(join(next, 'secret'), `secret ${version}\n`);
    writeFileSync(join(next, 'key.pem'), privateKeyPem('ES256'));
    writeRing(next, [{ id: 'a', state: 'in_use' }]);
    symlinkSync(version, join(folder, '..next'));
    renameSync(join(folder, '..next'), join(folder, '..data'));
  };
  put('..1');
  const noticed = new Map<string, number>();
  let begun = Number.POSITIVE_INFINITY;
  for (const [kind, words] of Object.entries(READERS)) {
    const source = await sourceOf(words(join(folder, '..data')));
    t.after(() => source.close?.());
    t.after(source.watch!(() => noticed.has(kind) || noticed.set(kind, performance.now() - begun)));
    // Which files there are, some know only from their first reading.
    await source.issue(issueRequest()).catch(() => {});
  }
  await sleep(1_200);
  noticed.clear();
  begun = performance.now();
  put('..2');
  while (noticed.size < Object.keys(READERS).length && performance.now() - begun < 5_000) await sleep(10);
  const slowest = Math.max(...noticed.values());
  t.diagnostic(`${noticed.size} kinds, the slowest after ${slowest.toFixed(0)} ms (at most 2000)`);
  assert.deepEqual([...noticed.keys()].sort(), Object.keys(READERS).sort());
  assert.ok(slowest <= 2_000, `${slowest} ms`);
});

test('a pipe in the place of a secret file is told, and not waited for', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-pipe-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'secret');
  execFileSync('mkfifo', [path]);
  // Whoever waited would wait for a writer; this one comes so that the test ends.
  const late = setTimeout(() => writeFileSync(path, 'x'), 2_000);
  await assert.rejects(readSecretFile(path), { message: `${path} cannot be read: ESPIPE` });
  clearTimeout(late);
});
