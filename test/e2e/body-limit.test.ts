// rate_limit by a value in the JSON body, through real Envoys: Envoy reads the value and counts, whatever the door.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type Answer, createWorld, type GatedEnvoy } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { bodyLimits } from '../../src/doors/doctor/body-limits.ts';
import { readEnvoyState } from '../../src/doors/doctor/envoy-state.ts';
import { DEFAULT_ENVOY, type EnvoyVersion, TESTED_ENVOYS } from '../support/envoy.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';

const LIMIT = `rate_limit:
      requests: 2
      per: 1h
      key: { body: [request, model], values: { large: { requests: 1, per: 90m }, quick: { requests: 5, per: 100ms } }, max_body_bytes: 4096 }`;
/** Its requests come first and are counted nowhere. */
const BEFORE = `  - name: embeddings
    match: { hosts: [orders.example.com], paths: [/v1/embeddings] }
    inject: { source: orders }`;

async function started(t: TestContext, door: 'check' | 'push' | 'attempt', version: EnvoyVersion) {
  const world = await createWorld({
    version,
    before: BEFORE,
    policy: LIMIT,
    methods: '[POST]',
    paths: '[/v1/]',
  });
  t.after(() => world.stop());
  await world.startBearerd();
  await world.ready();
  const gate = await world.startEnvoy(door);
  return { world, gate };
}

const JSON_TYPE = { 'content-type': 'application/json' };
const of = (model: unknown) => JSON.stringify({ request: { model } });

function post(
  { send }: Pick<GatedEnvoy, 'send'>,
  body: string,
  path = '/v1/chat?x=1',
  headers: Record<string, string> = JSON_TYPE,
): Promise<Answer> {
  return send(path, { method: 'POST', headers, body });
}

async function statuses(gate: GatedEnvoy, body: string, times: number): Promise<number[]> {
  const seen: number[] = [];
  for (let i = 0; i < times; i++) seen.push((await post(gate, body)).status);
  return seen;
}

const runs = [
  ...TESTED_ENVOYS.map((version) => ({ version, door: 'push' as const })),
  ...(['check', 'attempt'] as const).map((door) => ({ version: DEFAULT_ENVOY, door })),
];
for (const { version, door } of runs) {
  test(`Envoy ${version}, ${door}: one model is limited and another is not, whatever has no model shares one bucket`, async (t) => {
    const { world, gate } = await started(t, door, version);
    assert.deepEqual(await statuses(gate, of('small'), 2), [200, 200]);
    const { accepted } = world.upstream;
    const limited = await post(gate, of('small'));
    assert.equal(limited.status, 429);
    assert.equal(limited.headers['retry-after'], '5400', 'the longest wait of all buckets');
    assert.equal(limited.headers['ratelimit'], '"orders";r=0;t=5400');
    assert.equal(limited.headers['x-bearerd-reason'], 'rate_limited');
    assert.equal(world.upstream.accepted, accepted);
    assert.deepEqual(await statuses(gate, of('other'), 3), [200, 200, 429]);
    const charset = { 'content-type': 'Application/JSON; charset=utf-8' };
    assert.equal((await post(gate, of('large'), undefined, charset)).status, 200, 'a size of its own');
    for (const type of ['application/json', 'application/vnd.api+json;v=1', 'application/json ; x'])
      assert.equal((await post(gate, of('large'), undefined, { 'content-type': type })).status, 429, type);
    assert.deepEqual(await statuses(gate, of('quick'), 5), [200, 200, 200, 200, 200]);

    assert.deepEqual(await statuses(gate, '{"request":', 1), [200], 'malformed');
    const noJson = { 'content-type': 'application/jsonp' };
    assert.equal((await post(gate, of('quick'), undefined, noJson)).status, 200, 'no JSON by its type');
    for (const body of ['{"request":', '{"request":{}}', '{}', '[]', of(7), of(['large']), of(''), ''])
      assert.deepEqual(await statuses(gate, body, 1), [429], body);
    assert.equal((await post(gate, of('quick'), undefined, { 'content-type': 'text/plain' })).status, 429);
    assert.equal((await post(gate, of('quick'), undefined, {})).status, 429, 'without a content type');

    assert.equal((await post(gate, of('x'.repeat(5_000)))).status, 413);
    for (let i = 0; i < 4; i++)
      assert.equal((await post(gate, of('small'), '/v1/embeddings')).status, 200, 'another policy’s');
    assert.equal(
      (await gate.send('/open', { host: 'open.example.com', method: 'POST', body: of('small') })).status,
      200,
    );
    const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
    const dump: unknown = JSON.parse(await gate.envoy.admin('/config_dump'));
    assert.deepEqual(bodyLimits(config, readEnvoyState({}, dump, {})), [], 'the doctor has nothing to tell');
    const stats = await gate.envoy.stats('limit_orders');
    assert.ok((stats.get('limit_orders.http_local_rate_limit.rate_limited') ?? 0) >= 10, `${[...stats]}`);
  });
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}, inbound: only who was let in is counted`, async (t) => {
    const world = await startInboundEnvoy(t, {
      version,
      inbound: `
  policies:
    - { name: keyless, match: { paths: [/health] }, anonymous: true }
    - name: chat
      match: { methods: [POST] }
      anonymous: true
      networks: [127.0.0.1/32]
      rate_limit: { requests: 1, per: 1h, key: { body: [model], max_body_bytes: 2048 } }
`,
    });
    const ask = async (model: string, path = '/v1/chat') =>
      (await world.send(path, JSON_TYPE, 'POST', JSON.stringify({ model }))).status;
    assert.equal((await world.send('/v1/chat', {}, 'GET')).status, 403);
    assert.deepEqual([await ask('a'), await ask('a'), await ask('b')], [200, 429, 200]);
    assert.deepEqual([await ask('a', '/health'), await ask('a', '/health')], [200, 200]);
    // By Envoy, before anybody is asked: of a body that the check had held back for a moment the rest would never come.
    for (const length of [2_048, 100_000, 3 << 20])
      assert.equal(await ask('x'.repeat(length)), 413, `${length}`);
  });
}
