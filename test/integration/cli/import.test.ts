// bearerd import on a configuration that a real Envoy accepts.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parseConfig } from '../../../src/config/parse.ts';
import { validateEnvoy } from '../../support/envoy.ts';

const FIXTURE = 'test/fixtures/envoy/credential-injector.yaml';

async function bearerd(...args: string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, ['dist/main.js', ...args])).stdout;
}

test('Envoy’s credential_injector becomes a configuration that bearerd accepts and that does the same', async () => {
  const text = await bearerd('import', FIXTURE);
  const { sources, outbound } = parseConfig(text, 'bearerd.yaml');
  assert.deepEqual(
    outbound.map(({ name, match }) => [name, match.hosts.map((host) => host.name)]),
    [
      ['outbound', ['orders.example.com', 'legacy.example.com']],
      ['legacy', ['legacy.example.com']],
    ],
  );
  const [checkout, key] = sources;
  assert.ok(checkout?.type === 'client_credentials');
  assert.deepEqual(
    [checkout.tokenEndpoint, checkout.clientId, checkout.scope],
    ['https://idp.example.com/token', 'checkout', ['orders.read']],
  );
  assert.equal(key?.type, 'static');
  assert.match(text, /client_auth: client_secret_post/);
  assert.match(text, /header: x-api-key\n +prefix: ""/);
  assert.equal(outbound[1]!.onFailure, 'pass');
});

test('the configuration it was tried with is one that a real Envoy accepts', async () => {
  // Envoy wants files of secrets to be there.
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-import-'));
  const text = readFileSync(FIXTURE, 'utf8').replaceAll('/etc/envoy', folder);
  for (const name of ['secret.yaml', 'key.yaml']) writeFileSync(join(folder, name), 'resources: []\n');
  const { ok, output } = await validateEnvoy(text);
  assert.ok(ok, output);
});

test('what is done otherwise is said beside it', async () => {
  const text = await bearerd('import', FIXTURE);
  assert.match(text, /# Not carried over: token_endpoint\.timeout 3s: bearerd has 3 s to connect/);
  assert.match(text, /# Not carried over: overwrite was off: the app’s own header won/);
  assert.match(text, /Envoy read the secret "client-secret" from \/etc\/envoy\/secret\.yaml/);
});

test('a file without a credential_injector is told so', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'envoy.yaml');
  writeFileSync(file, 'static_resources: {}\n');
  await assert.rejects(bearerd('import', file), /has no credential_injector/);
});
