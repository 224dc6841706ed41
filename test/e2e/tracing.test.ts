// Traces through real Envoy: what a request waits for belongs to its trace, down to the provider's own call.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReceivedSpan, startCollector } from '../support/collector.ts';
import { startExchangeProvider } from '../support/exchange-provider.ts';
import { startGateway } from '../support/gateway.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';
import { startTokenEndpoint } from '../support/token-endpoint.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const traced = (trace = TRACE, flags = '01') => ({
  traceparent: `00-${trace}-${PARENT}-${flags}`,
  tracestate: 'shop=1',
});

/** From the outermost to the innermost. */
function chain(spans: readonly ReceivedSpan[], trace: string): readonly ReceivedSpan[] {
  const members = spans.filter(({ traceId }) => traceId === trace);
  const found: ReceivedSpan[] = [];
  let parent = members.find(({ parentSpanId }) => !members.some(({ spanId }) => spanId === parentSpanId));
  while (parent !== undefined) {
    found.push(parent);
    const { spanId } = parent;
    parent = members.find(({ parentSpanId }) => parentSpanId === spanId);
  }
  return found;
}

for (const door of ['check', 'attempt'] as const) {
  test(`${door}: a first credential is fetched in the trace of its request, and warm requests make no span`, async (t) => {
    const collector = await startCollector(t);
    const provider = await startTokenEndpoint(t);
    let upstreamStatus = 200;
    const gateway = await startGateway(t, {
      sources: `  orders:
    token_exchange:
      token_endpoint: ${provider.url}
      client_id: a
      client_secret: { file: FOLDER/secret }
      subject_token: { header: x-user }`,
      policy: 'heal_on: 401',
      files: { secret: 's3cret' },
      settings: `tracing: { otlp_endpoint: "${collector.url}" }`,
      upstream(_, response) {
        response.writeHead(upstreamStatus).end();
        upstreamStatus = 200;
      },
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy(door);
    const ask = (user: string, headers: Record<string, string>) =>
      send('/x', { host: 'orders.example.com', headers: { 'x-user': `Bearer ${user}`, ...headers } });

    assert.equal((await ask('ann', traced())).status, 200);
    for (let i = 0; i < 5; i++) assert.equal((await ask('ann', traced())).status, 200);
    const [first] = provider.asked;
    assert.match(first!['traceparent'] as string, new RegExp(`^00-${TRACE}-(?!${PARENT})[0-9a-f]{16}-01$`));
    assert.equal(first!['tracestate'], 'shop=1');

    // Not sampled by whoever began the trace: passed on, not told.
    const quiet = '11111111111111111111111111111111';
    await ask('bob', traced(quiet, '00'));
    assert.match(provider.asked[1]!['traceparent'] as string, new RegExp(`^00-${quiet}-[0-9a-f]{16}-00$`));
    // No trace, or none that can be read: one of its own.
    await ask('cleo', { traceparent: `00-${TRACE}-${PARENT}` });
    const own = (provider.asked[2]!['traceparent'] as string).split('-')[1]!;
    assert.notEqual(own, TRACE);

    const healed = '22222222222222222222222222222222';
    upstreamStatus = 401;
    assert.equal((await ask('ann', traced(healed))).status, door === 'attempt' ? 200 : 401);
    while (provider.asked.length < 4) await sleep(5);
    assert.equal((provider.asked[3]!['traceparent'] as string).split('-')[1], healed);
    const failing = '33333333333333333333333333333333';
    provider.status = 500;
    assert.equal((await ask('dave', traced(failing))).status, 503);
    await gateway.bearerd.stop();

    const spans = await collector.spans();
    const told = chain(spans, TRACE);
    assert.deepEqual(
      told.map(({ name, kind }) => `${name} ${kind}`),
      ['bearerd.wait SPAN_KIND_SERVER', 'bearerd.issue SPAN_KIND_INTERNAL', 'POST SPAN_KIND_CLIENT'],
    );
    assert.equal(told[0]!.parentSpanId, PARENT);
    assert.ok((first!['traceparent'] as string).includes(told[2]!.spanId), 'the provider is below the call');
    assert.equal(told[0]!.attributes['bearerd.policy'], 'orders');
    assert.equal(told[1]!.attributes['bearerd.source'], 'orders');
    assert.equal(told[2]!.attributes['http.response.status_code'], '200');
    assert.equal(spans.filter(({ traceId }) => traceId === TRACE).length, 3, 'nothing of the warm ones');
    assert.equal(spans.filter(({ traceId }) => traceId === quiet).length, 0);
    assert.equal(chain(spans, own).length, 3);
    const renewal = spans.filter(({ traceId }) => traceId === healed);
    const [refused] = renewal.filter(({ name }) => name === 'bearerd.refused');
    const issue = renewal.find(({ name }) => name === 'bearerd.issue');
    assert.equal(refused!.parentSpanId, PARENT);
    assert.equal(issue!.parentSpanId, refused!.spanId);
    assert.equal(issue!.attributes['bearerd.forced'], 'true');
    assert.deepEqual(
      chain(spans, failing).map(({ attributes }) => attributes['error.type']),
      ['source_unavailable', 'source_unavailable', 'source_unavailable'],
    );
    assert.ok(chain(spans, failing).every(({ failed }) => failed));
    const resource = await collector.resource();
    assert.equal(resource['service.name'], 'bearerd');
    assert.ok(resource['service.instance.id']);
    const wire = Buffer.concat(collector.bodies).toString('latin1');
    assert.doesNotMatch(wire, /s3cret|Bearer/, 'no secret');
  });
}

test('inbound: what a caller waits for belongs to its trace, key sets read in the background to their own, warm requests to none', async (t) => {
  const collector = await startCollector(t);
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 's3cret' });
  t.after(() => provider.stop());
  const client = 'client_id: gateway, client_secret: { inline: s3cret }';
  const world = await startInboundEnvoy(t, {
    settings: `tracing: { otlp_endpoint: "${collector.url}" }
sources:
  internal: { token_exchange: { issuer: "${provider.issuer}", ${client}, audience: urn:internal } }
`,
    inbound: `
  issuers:
    users: { issuer: "${provider.issuer}", audience: orders }
    opaque: { audience: orders, introspection: { endpoint: "${provider.issuer}/token/introspection", ${client} } }
  policies:
    - { name: api, match: {}, token: { exchange: internal } }
`,
  });
  const token = (name: string) => provider.userToken(name, 600, { aud: 'orders' });
  const ask = async (value: string, trace: string) =>
    (await world.send('/v1/x?secret=1', { authorization: `Bearer ${value}`, ...traced(trace) })).status;
  const trace = (digit: number) => String(digit).repeat(32);
  const zoe = await token('zoe-of-inbound');
  assert.equal(await ask(zoe, trace(1)), 200);
  assert.equal(await ask(zoe, trace(2)), 200);
  assert.equal(await ask(await provider.opaqueToken('bob'), trace(3)), 200);
  assert.equal(await ask('made-up', trace(4)), 401);
  provider.status = 503;
  assert.equal(await ask(await token('cleo'), trace(5)), 503);
  await world.bearerd.stop();

  const spans = await collector.spans();
  const tree = (digit: number) => {
    const members = spans.filter(({ traceId }) => traceId === trace(digit));
    const nameOf = (id: string) => members.find(({ spanId }) => spanId === id)?.name ?? id;
    return members.map((span) => `${nameOf(span.parentSpanId)} > ${span.name}`).sort();
  };
  const exchange = ['bearerd.inbound > bearerd.issue', 'bearerd.issue > GET', 'bearerd.issue > POST'];
  const waits = `${PARENT} > bearerd.inbound`;
  assert.deepEqual(tree(1), [waits, ...exchange].sort(), 'with the metadata of the provider');
  assert.deepEqual(tree(2), [], 'warm');
  const introspection = 'bearerd.inbound > POST';
  assert.deepEqual(tree(3), [waits, introspection, exchange[0], exchange[2]].sort());
  assert.deepEqual(tree(4), [waits, introspection].sort());
  const errorOf = (digit: number) =>
    spans.find(({ name, traceId }) => name === 'bearerd.inbound' && traceId === trace(digit))!.attributes[
      'error.type'
    ];
  assert.deepEqual([1, 3, 4, 5].map(errorOf), [
    undefined,
    undefined,
    'token_inactive',
    'exchange_unavailable',
  ]);
  const keys = spans.find(({ name }) => name === 'bearerd.keys')!;
  assert.deepEqual([keys.parentSpanId, keys.attributes['bearerd.issuer']], ['', 'users']);
  const below = spans.filter(({ parentSpanId }) => parentSpanId === keys.spanId);
  assert.deepEqual(
    below.map(({ name }) => name),
    ['GET', 'GET'],
  );
  const wire = Buffer.concat(collector.bodies).toString('latin1');
  assert.doesNotMatch(
    wire,
    /s3cret|Bearer|eyJ|secret=|\/v1\/x|zoe-of-inbound|made-up/,
    'no secret, path or subject',
  );
});

test('a renewal in the background begins a trace of its own, and a collector that takes none costs spans and nothing else', async (t) => {
  const collector = await startCollector(t);
  const provider = await startTokenEndpoint(t);
  const source = `  orders: { client_credentials: { token_endpoint: ${provider.url}, client_id: a, client_secret: { inline: s } } }`;
  const gateway = await startGateway(t, {
    sources: source,
    settings: `tracing: { otlp_endpoint: "${collector.url}" }`,
  });
  await gateway.ready();
  await gateway.bearerd.stop();
  const spans = await collector.spans();
  assert.deepEqual(spans.map(({ name }) => name).sort(), ['POST', 'bearerd.issue']);
  assert.equal(spans.find(({ name }) => name === 'bearerd.issue')!.parentSpanId, '');

  const alone = await startGateway(t, {
    sources: source,
    settings: `tracing: { otlp_endpoint: "${collector.url}/elsewhere" }`,
  });
  await alone.ready();
  const begun = performance.now();
  await alone.bearerd.waitForOutput(/"level":"warn".*the collector does not take spans/);
  assert.match(await alone.metrics(), /^bearerd_spans_lost_total [1-9]/m);
  t.diagnostic(`told after ${Math.round(performance.now() - begun)} ms`);
  assert.equal((await alone.bearerd.stop()).code, 0);
});
