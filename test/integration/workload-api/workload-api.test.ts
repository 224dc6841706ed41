// The test double of the Workload API is held against go-spiffe, and our client against the double.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../../src/lib/clock.ts';
import { createWorkloadApi } from '../../../src/workload-api/client.ts';
import { hasGo } from '../../../tools/parts/go.ts';
import { goSpiffeBinary } from '../../../tools/parts/go-spiffe.ts';
import { startProcess } from '../../support/process.ts';
import { until } from '../../support/until.ts';
import { startWorkloadApi, type WorkloadApiOptions } from '../../support/workload-api.ts';

async function setUp(t: TestContext, options: Partial<WorkloadApiOptions> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-spiffe-'));
  const double = await startWorkloadApi({ socket: join(folder, 'agent.sock'), ...options });
  t.after(async () => {
    await double.stop();
    rmSync(folder, { recursive: true });
  });
  const api = createWorkloadApi(double.socket, systemClock);
  t.after(() => api.close());
  return { double, api };
}

const go = await hasGo();

test('go-spiffe fetches from the double and verifies every SVID with its bundle', {
  skip: go ? false : 'Go is missing',
}, async (t) => {
  const { double } = await setUp(t, {
    identities: ['spiffe://example.org/checkout', 'spiffe://example.org/ns/prod/sa/x'],
  });
  const binary = await goSpiffeBinary();
  const ask = async () => {
    const client = await startProcess(binary, [`unix://${double.socket}`, 'orders', 'stock']);
    const { code } = await client.exited;
    return { code, output: client.output() };
  };
  const { code, output } = await ask();
  assert.equal(code, 0, output);
  const svids = JSON.parse(output) as { id: string; audience: string[]; expiry: number }[];
  assert.deepEqual(
    svids.map(({ id, audience }) => [id, audience]),
    [
      ['spiffe://example.org/checkout', ['orders', 'stock']],
      ['spiffe://example.org/ns/prod/sa/x', ['orders', 'stock']],
    ],
  );
  assert.ok(Math.abs(svids[0]!.expiry - Date.now() - 300_000) < 10_000);
  double.deny(true);
  const denied = await ask();
  assert.equal(denied.code, 1);
  assert.match(denied.output, /PermissionDenied/);
  assert.equal(double.refusedCalls, 0);
});

test('our client asks with the security header, for several audiences and one identity', async (t) => {
  const { double, api } = await setUp(t, {
    identities: ['spiffe://example.org/a', 'spiffe://example.org/b'],
  });
  const signal = AbortSignal.timeout(5_000);
  assert.deepEqual(
    (await api.fetchJwtSvids(['orders', 'stock'], '', signal)).map(({ spiffeId }) => spiffeId),
    ['spiffe://example.org/a', 'spiffe://example.org/b'],
  );
  const [one, ...more] = await api.fetchJwtSvids(['orders'], 'spiffe://example.org/b', signal);
  assert.deepEqual([one!.spiffeId, more.length], ['spiffe://example.org/b', 0]);
  assert.deepEqual(double.fetched, [['orders', 'stock'], ['orders']]);
  assert.equal(double.refusedCalls, 0);
});

test('each fault has its code, and nothing of the API’s text is quoted', async (t) => {
  const { double, api } = await setUp(t);
  const fetch = (spiffeId = '', signal = AbortSignal.timeout(5_000)) =>
    api.fetchJwtSvids(['a'], spiffeId, signal);
  await assert.rejects(fetch('spiffe://example.org/other'), { code: 'source_rejected', retryable: true });
  await assert.rejects(api.fetchJwtSvids([], '', AbortSignal.timeout(5_000)), {
    code: 'source_rejected',
    retryable: false,
  });
  await assert.rejects(fetch('', AbortSignal.abort()), { code: 'source_timeout' });
  double.deny(true);
  await assert.rejects(fetch(), { code: 'source_rejected', message: /PERMISSION_DENIED\)$/ });
  await double.stop();
  await assert.rejects(fetch(), { code: 'source_unavailable', message: /UNAVAILABLE/ });
  const nowhere = createWorkloadApi('/nonexistent/agent.sock', systemClock);
  t.after(() => nowhere.close());
  await assert.rejects(nowhere.fetchJwtSvids(['a'], '', AbortSignal.timeout(5_000)), {
    code: 'source_unavailable',
  });
});

test('the stream of bundles stays open, tells of a new key at once, and comes back after the API was away', async (t) => {
  const { double, api } = await setUp(t);
  const kids: string[] = [];
  const stop = api.followJwtBundles((bundles) => {
    const { keys } = JSON.parse(Buffer.from(bundles.get('spiffe://example.org')!).toString());
    kids.push(keys[0].kid);
  });
  await until('bundle 1', () => kids.length === 1);
  assert.equal(double.openStreams, 1);
  await double.rotate();
  await until('bundle 2', () => kids.length === 2);
  assert.deepEqual(kids, ['key-1', 'key-2']);
  await double.stop();
  await sleep(700);
  await double.start();
  const begun = performance.now();
  await until('bundle 3', () => kids.length === 3);
  const ms = performance.now() - begun;
  t.diagnostic(`open again ${ms.toFixed(0)} ms after the API was back (at most 5000)`);
  assert.deepEqual(kids, ['key-1', 'key-2', 'key-2']);
  assert.ok(ms < 5_000, `${ms} ms`);
  stop();
  await until('no stream is left', () => double.openStreams === 0);
  assert.equal(double.openStreams, 0);
});
