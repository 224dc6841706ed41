// The attempt door on real Envoys: every attempt asks, and the app sees no refusal.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { parse, stringify } from 'yaml';
import { createWorld, OPEN } from '../../demo/world.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/loopback.ts';
import { startWorkloadApi } from '../support/workload-api.ts';
import { startedWorld } from '../support/world.ts';

interface Seen {
  readonly authorization: string | undefined;
  readonly body: string;
}

/** A plain upstream that answers as `status` says and keeps what it saw. */
async function startPlain(t: TestContext, status: (count: number, request: IncomingMessage) => number) {
  const seen: Seen[] = [];
  const port = await startUpstream(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      seen.push({ authorization: request.headers.authorization, body: Buffer.concat(chunks).toString() });
      response.writeHead(status(seen.length, request)).end('answer');
    });
  });
  return { port, seen };
}

/** As an operator who also retries what failed at the upstream. */
function retriedOn5xx(bootstrap: string): string {
  const document = parse(bootstrap);
  const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  for (const host of manager.route_config.virtual_hosts) {
    for (const { route } of host.routes) if (route?.retry_policy) route.retry_policy.retry_on += ',5xx';
  }
  return stringify(document);
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: a revoked token is noticed by nobody, a body is sent again, and the app's own value never leaves`, async (t) => {
    const world = await startedWorld(t, { version });
    await world.ready();
    const { send } = await world.startEnvoy('attempt');
    const own = { authorization: 'Bearer of-the-app' };
    assert.equal((await send('/v1/orders', { headers: own })).status, 200);
    for (const [i, method] of ['GET', 'POST', 'GET', 'POST'].entries()) {
      world.upstream.revoke();
      const body = method === 'POST' ? 'x'.repeat(10_000) : undefined;
      const healed = await send('/v1/orders', { method, headers: own, ...(body ? { body } : {}) });
      assert.equal(healed.status, 200, healed.body);
      assert.equal(world.provider.tokenCalls, i + 2);
      t.diagnostic(`${method} healed in ${healed.ms.toFixed(0)} ms`);
    }
    assert.equal(world.upstream.refused, 4, 'one refused attempt each');
    assert.equal(world.upstream.doubled, 0);
    assert.match((await send('/open', { host: OPEN })).body, /"authorization":"none"/);
    assert.doesNotMatch(await world.metrics(), /^bearerd_feedback_late_total\{.*[1-9]/m);
  });

  test(`Envoy ${version}: without a credential, and without bearerd, the request ends with 503 and a reason`, async (t) => {
    const upstream = await startPlain(t, () => 200);
    const world = await createWorld({
      version,
      providerDown: true,
      settings: 'max_wait: 300ms',
      upstreamPort: upstream.port,
    });
    t.after(() => world.stop());
    const bearerd = await world.startBearerd();
    const { send } = await world.startEnvoy('attempt');
    const without = await send('/v1/orders', { headers: { authorization: 'Bearer of-the-app' } });
    assert.equal(without.status, 503);
    assert.equal(without.headers['x-bearerd-reason'], 'source_unavailable');
    assert.ok(Number(without.headers['retry-after']) >= 1);

    bearerd.child.kill('SIGKILL');
    await bearerd.exited;
    const dead = await send('/v1/orders', { headers: { authorization: 'Bearer of-the-app' } });
    assert.equal(dead.status, 503);
    assert.equal(dead.headers['x-bearerd-reason'], 'bearerd_unavailable');
    assert.equal(dead.headers['retry-after'], '1');
    assert.equal((await send('/open', { host: OPEN })).status, 200, 'other routes do not notice');
    assert.deepEqual(upstream.seen, [], 'nothing reached the upstream');
  });

  test(`Envoy ${version}: killed or drained while requests wait, nothing leaves without our credential`, async (t) => {
    const upstream = await startPlain(t, (count) => (count === 1 ? 200 : 401));
    const world = await createWorld({ version, upstreamPort: upstream.port });
    t.after(() => world.stop());
    const { send } = await world.startEnvoy('attempt');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      upstream.seen.length = 0;
      world.provider.delayMs = 0;
      const bearerd = await world.startBearerd();
      await world.ready();
      // Envoy comes back by its own back-off.
      while ((await send('/v1/orders')).status !== 200) {
        upstream.seen.length = 0;
        await sleep(20);
      }
      // Longer than all of them need until they wait, shorter than bearerd lets them.
      world.provider.delayMs = 2_000;
      const waiting = Array.from({ length: 20 }, () =>
        send('/v1/orders', { headers: { authorization: 'Bearer of-the-app' } }),
      );
      for (const end = performance.now() + 10_000; upstream.seen.length < 21; await sleep(5)) {
        assert.ok(performance.now() < end, `${upstream.seen.length} attempts of 21 after 10 s`);
      }
      await sleep(500); // the second attempts wait in bearerd
      bearerd.child.kill(signal);
      const answers = await Promise.all(waiting);
      await bearerd.exited;
      const statuses = [...new Set(answers.map(({ status }) => status))];
      t.diagnostic(`${signal}: answered ${statuses}, ${upstream.seen.length} attempts`);
      // A drain waits for the new credential, which this upstream refuses too; a kill ends what waits.
      assert.deepEqual(statuses, signal === 'SIGTERM' ? [401] : [503]);
      for (const { authorization } of upstream.seen) {
        assert.match(authorization ?? 'none', /^Bearer eyJ/, 'ours, and never the app’s');
      }
    }
  });
}

test('an upstream that answers 503 to every first attempt costs no token call', async (t) => {
  const upstream = await startPlain(t, (count) => (count % 2 === 1 ? 503 : 200));
  const world = await startedWorld(t, { upstreamPort: upstream.port });
  await world.ready();
  const { send } = await world.startEnvoy('attempt', retriedOn5xx);
  for (let i = 0; i < 200; i++) assert.equal((await send('/v1/orders')).status, 200);
  assert.equal(upstream.seen.length, 400);
  assert.equal(new Set(upstream.seen.map(({ authorization }) => authorization)).size, 1);
  assert.equal(world.provider.tokenCalls, 1);
  assert.doesNotMatch(await world.metrics(), /^bearerd_feedback_late_total\{.*[1-9]/m);
});

test('an upstream that always says 401 gets one extra attempt a request and few renewals; then the app sees it', async (t) => {
  const upstream = await startPlain(t, () => 401);
  const world = await startedWorld(t, { upstreamPort: upstream.port });
  await world.ready();
  const { send } = await world.startEnvoy('attempt');
  for (let i = 0; i < 100; i++) assert.equal((await send('/v1/orders')).status, 401);
  assert.equal(upstream.seen.length, 200);
  t.diagnostic(`${world.provider.tokenCalls} token calls`);
  assert.ok(world.provider.tokenCalls <= 7, `${world.provider.tokenCalls} token calls`);
});

test('a JWT-SVID that is refused is followed by a new one inside the same request', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-spiffe-'));
  const api = await startWorkloadApi({ socket: join(folder, 'agent.sock') });
  t.after(async () => {
    await api.stop();
    rmSync(folder, { recursive: true });
  });
  const revoked = new Set<unknown>();
  const gateway = await startGateway(t, {
    sources: `  orders: { required: true, spiffe_jwt: { socket: "unix://${api.socket}", audience: orders } }`,
    async upstream(request, response) {
      const token = (request.headers.authorization ?? '').replace('Bearer ', '');
      const { payload } = await jwtVerify(token, createLocalJWKSet(api.jwks()), { audience: 'orders' });
      response.writeHead(revoked.has(payload.jti) ? 401 : 200).end(payload.jti);
    },
  });
  await gateway.ready();
  const { send } = await gateway.startEnvoy('attempt');
  for (let i = 0; i < 3; i++) {
    const { status, body: jti } = await send('/x');
    assert.equal(status, 200);
    revoked.add(jti);
    const healed = await send('/x');
    t.diagnostic(`healed in ${healed.ms.toFixed(0)} ms`);
    assert.equal(healed.status, 200);
    assert.notEqual(healed.body, jti);
  }
});
