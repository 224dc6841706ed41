// A rollout that came by bundle and was stepped back by the guard: it stays so over restarts and bundles, whichever way the
// bundle comes back, until one has the policy with another hash.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { encodeCheckRequest } from '../../../bench/world.ts';
import { createAuthority } from '../../../demo/certificates.ts';
import { BUNDLE_NAME, createBundleSigner, startBundleServer } from '../../support/policy-bundles.ts';
import { freePort } from '../../support/ports.ts';
import { type StartedProcess, startProcess } from '../../support/process.ts';
import { until } from '../../support/until.ts';

const HOUR_MS = 3_600_000;
const policy = (key: string, requests = 20) => `version: 1
sources: { key: { file: { path: ${key} } } }
outbound:
  - { name: orders, match: { hosts: [orders.prod] }, inject: { source: key }, guard: { requests: ${requests}, good_after: 1s } }
`;

test('a bundle that was stepped back stays so over restarts with and without it, and until its policy is another', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-guarded-bundle-'));
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const authority = await createAuthority(folder);
  const server = await startBundleServer(authority);
  t.after(() => server.stop());
  const signer = createBundleSigner();
  const health = await freePort();
  writeFileSync(join(folder, 'keys.pem'), signer.publicPem);
  writeFileSync(join(folder, 'good'), 'good-key', { mode: 0o600 });
  const config = join(folder, 'bearerd.yaml');
  writeFileSync(
    config,
    `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", health: 127.0.0.1:${health} }
max_wait: 100ms
state_dir: state
policy_bundle: { url: "${server.url}", name: ${BUNDLE_NAME}, keys: keys.pem, ca_file: ${authority.ca}, poll: 1s, allow: { files: . } }
`,
  );
  const publish = async (serial: number, text: string, patch = {}): Promise<void> => {
    server.content = await signer.sign(serial, { 'orders.yaml': text }, patch);
  };
  const client = new grpc.Client(`unix://${folder}/check.sock`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const check = () =>
    new Promise<string>((resolve) =>
      client.makeUnaryRequest(
        '/envoy.service.auth.v3.Authorization/Check',
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => bytes.toString('latin1'),
        encodeCheckRequest('orders', 'orders.prod', '/v1', 1),
        { deadline: Date.now() + 5_000 },
        (error, answer) => resolve(error ? error.message : answer!),
      ),
    );
  const injectsGood = async () => (await check()).includes('good-key');
  const readiness = async () => (await fetch(`http://127.0.0.1:${health}/readyz`)).text();
  let bearerd: StartedProcess;
  const start = async (): Promise<void> => {
    bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', config], {
      name: 'bearerd',
    });
    await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
  };
  t.after(() => bearerd.stop());

  await publish(1, policy('good'));
  await start();
  await bearerd!.waitForOutput(/a policy bundle took over/);
  let done = false;
  t.after(() => {
    done = true;
  });
  const loading = (async () => {
    while (!done) await Promise.all([check(), check(), sleep(50)]);
  })();
  await bearerd!.waitForOutput(/ran without alarm/);

  // In each pod the new version finds no credential.
  await publish(2, policy('missing'));
  const begun = performance.now();
  await bearerd!.waitForOutput(/"alarm":"stepped_back"/);
  const tookMs = performance.now() - begun;
  t.diagnostic(`stepped back ${(tookMs / 1_000).toFixed(1)} s after it was published, poll 1 s`);
  assert.ok(tookMs < 12_000, `${tookMs} ms: 10 s and a poll`);
  done = true;
  await loading;

  const stepsBackAgain = async (how: string): Promise<void> => {
    await bearerd.waitForOutput(/"alarm":"stepped_back"/);
    assert.match(await readiness(), /guard: orders was stepped back/, how);
    await until(how, injectsGood);
    assert.doesNotMatch(bearerd.output(), /"serial":1/);
  };
  await until('the good one', injectsGood);

  server.answer = (_, response) => void response.socket!.destroy();
  await bearerd!.stop();
  await start();
  await stepsBackAgain('without the server, by the kept bundle');

  // The kept one is past its end: the process starts with the local file alone, and the bundle comes later.
  await bearerd!.stop();
  await publish(2, policy('missing'), {
    issuedAt: Date.now() - 2 * HOUR_MS,
    expiresAt: Date.now() - HOUR_MS,
  });
  writeFileSync(join(folder, 'state/policy-bundle.jws'), server.content);
  await start();
  await bearerd!.waitForOutput(/policy-bundle\.jws: expired at/);
  assert.ok(!(await injectsGood()), 'there is no policy');
  // Also a process that never had it leaves what is known to the next.
  await bearerd!.stop();
  await start();
  await publish(3, policy('missing'));
  server.answer = undefined;
  await bearerd!.waitForOutput(/a policy bundle took over/);
  await stepsBackAgain('by a bundle that came after the start');

  await publish(4, policy('good', 21));
  await bearerd!.waitForOutput(/"serial":4/);
  await until('nothing to tell', async () => (await readiness()) === 'ok\n');
  await until('the good one of the next version', injectsGood);
});
