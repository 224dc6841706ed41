// Policies that deny, through real Envoy by the doors that see requests; push says no.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { createWorld, type World, type WorldOptions } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';

const BEFORE = `  - name: no-deletes
    match: { hosts: [orders.example.com], methods: [DELETE] }
    deny: true
  - name: no-admin
    match: { hosts: [orders.example.com], paths: [/v1/admin] }
    deny: { status: 404 }
  - name: nobody
    match: { hosts: [blocked.example.com] }
    deny: true`;
const OPTIONS = {
  before: BEFORE,
  methods: '[GET, POST, DELETE]',
  settings: 'ambiguous_path: deny\n',
};

async function started(t: TestContext, options: WorldOptions = {}) {
  const world = await createWorld({ ...OPTIONS, ...options });
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  return { world, bearerd };
}

async function reloaded(world: World, from: string, to: string): Promise<void> {
  const revision = async () => Number(/configuration_revision (\d+)/.exec(await world.metrics())![1]);
  const before = await revision();
  writeFileSync(world.configFile, readFileSync(world.configFile, 'utf8').replace(from, to));
  while ((await revision()) === before) await sleep(20);
}

for (const door of ['check', 'attempt', 'both'] as const) {
  test(`${door}: what a policy denies is answered with its status, counted and audited; the rest gets its credential`, async (t) => {
    const { world, bearerd } = await started(t, {
      settings: `${OPTIONS.settings}audit: { sink: stdout }\n`,
    });
    const { send } = await world.startEnvoy(door);
    assert.equal((await send('/v1/orders')).status, 200);
    const { accepted } = world.upstream;
    const refused = await send('/v1/orders/1?secret=x', { method: 'DELETE' });
    assert.equal(refused.status, 403);
    assert.equal(refused.headers['x-bearerd-reason'], 'denied');
    assert.equal(refused.headers['content-type'], 'application/json');
    assert.equal(refused.body, '{"error":"forbidden","reason":"denied"}\n');
    assert.equal(refused.headers['retry-after'], undefined);
    const admin = await send('/v1/admin/users', { method: 'POST', body: 'x' });
    assert.deepEqual([admin.status, admin.body], [404, '{"error":"not_found","reason":"denied"}\n']);
    for (const path of ['/v1//admin', '/v1/x/../admin', '/v1/%2e%2e/v1/admin', '/v1/admin;x'])
      assert.equal((await send(path)).status, 400, path);
    for (const host of ['blocked.example.com', 'BLOCKED.example.com.:80'])
      assert.equal((await send('/x', { host })).status, 403, host);
    assert.equal(world.upstream.accepted, accepted, 'nothing of it reached the upstream');
    assert.equal((await send('/v1/administer')).status, 200);
    assert.match(
      await world.metrics(),
      /bearerd_checks_total\{policy="no-deletes",decision="deny",reason="denied"\} 1\n/,
    );
    await bearerd.waitForOutput(/"event":"outbound_denied","policy":"nobody"/);
    assert.match(
      bearerd.output(),
      /"event":"outbound_denied","policy":"no-deletes","mode":"enforce","method":"DELETE","host":"orders.example.com","path":"\/v1\/orders\/1","status":403/,
    );
    assert.ok(!bearerd.output().includes('secret=x'));
  });
}

test('attempt: a request that comes past the check is refused there too, by every attempt', async (t) => {
  const { world } = await started(t);
  const { send } = await world.startEnvoy('attempt', (bootstrap) => {
    const document = parse(bootstrap);
    const [listener] = document.static_resources.listeners;
    for (const host of listener.filter_chains[0].filters[0].typed_config.route_config.virtual_hosts) {
      for (const route of host.routes) delete route.typed_per_filter_config;
    }
    return stringify(document);
  });
  const { accepted } = world.upstream;
  const refused = await send('/v1/orders/1', { method: 'DELETE' });
  assert.deepEqual([refused.status, refused.body], [403, '{"error":"forbidden","reason":"denied"}\n']);
  assert.equal(refused.headers['x-bearerd-reason'], 'denied');
  assert.equal(world.upstream.accepted, accepted);
  assert.equal((await send('/v1/orders')).status, 200);
  assert.match(
    await world.metrics(),
    /bearerd_attempts_total\{policy="no-deletes",decision="deny",reason="denied"\} 1\n/,
  );
});

for (const door of ['check', 'attempt', 'push'] as const) {
  test(`before ${door}: a denial is watched, put in force and taken back by reloads alone, and what is behind it never notices`, async (t) => {
    const { world } = await started(t, { before: BEFORE.replaceAll(/(deny: .*)/g, '$1\n    mode: shadow') });
    const { send } = await world.startEnvoy(door === 'push' ? 'both' : door);
    const statusOf = async () => (await send('/v1/orders/1', { method: 'DELETE' })).status;
    assert.equal(await statusOf(), 200);
    assert.match(await world.metrics(), /policy="no-deletes",decision="pass",reason="shadow"\} 1\n/);
    await reloaded(world, 'mode: shadow', 'mode: enforce');
    assert.equal(await statusOf(), 403);
    await reloaded(world, 'mode: enforce', 'mode: off');
    assert.equal(await statusOf(), 200);
  });
}

test('while bearerd is away what would be denied is refused too, and what is pushed goes on', async (t) => {
  const { world, bearerd } = await started(t);
  const { send } = await world.startEnvoy('both');
  await bearerd.stop();
  assert.equal((await send('/v1/orders/1', { method: 'DELETE' })).status, 503);
  assert.equal((await send('/v1/orders')).status, 200);
});

test('push alone cannot serve it and says so', async (t) => {
  const world = await createWorld(OPTIONS);
  t.after(() => world.stop());
  const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
  assert.throws(
    () => generateEnvoy(config, { door: 'push' }),
    /outbound\.no-deletes\.deny cannot be served by push/,
  );
});
