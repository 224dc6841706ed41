// What an app may forge: its Host and its request ids. Neither draws a credential or a renewal that is not its due.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { gated, ORDERS } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';
import { startEnvoy } from '../support/envoy.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

test('a Check from a route without a mark draws no token, whatever Host the app sent', async (t) => {
  const world = await startedWorld(t, { paths: '[/open/v1/]' });
  await world.ready();
  const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
  const there = { address: '127.0.0.1', port: 1 };
  // An operator who switched the filter on everywhere and left the mark away: the passthrough route of a mesh.
  const bootstrap = parse(
    generateEnvoy(config, {
      door: 'check',
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      upstreams: { [ORDERS]: there, '*': there },
    }),
  );
  const manager = bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const filter = manager.http_filters.find(
    (f: { name: string }) => f.name === 'envoy.filters.http.ext_authz',
  );
  delete filter.disabled;
  const echo = {
    name: 'echo',
    domains: ['*'],
    routes: [
      {
        match: { prefix: '/' },
        direct_response: { status: 200, body: { inline_string: 'passthrough' } },
        response_headers_to_add: [{ header: { key: 'x-seen', value: '%REQ(authorization)%' } }],
      },
    ],
  };
  manager.route_config.virtual_hosts = [echo];
  const envoy = await startEnvoy({ config: stringify(bootstrap) });
  t.after(() => envoy.stop());
  const { send } = await gated(envoy);
  const seen = await send('/open/v1/x');
  const authorization = seen.headers['x-seen'];
  assert.equal(seen.status, 200);
  assert.ok(
    authorization === undefined || authorization === '-' || authorization === '',
    String(authorization),
  );
  assert.match(await world.metrics(), /reason="unmarked"[^\n]* 1/);
});

test('fifty callers with one constant x-request-id: each revocation costs one renewal and no more', async (t) => {
  const world = await startedWorld(t);
  await world.ready();
  const { send } = await world.startEnvoy('check');
  const headers = { 'x-request-id': 'always-the-same' };
  const all = (path: string) =>
    Promise.all(Array.from({ length: 50 }, (_, i) => send(`${path}/${i}`, { headers })));
  assert.ok((await all('/v1/orders')).every(({ status }) => status === 200));
  assert.equal(world.provider.tokenCalls, 1);
  world.upstream.revoke();
  await all('/v1/orders');
  await until('a renewal', async () => (await send('/v1/orders/0', { headers })).status === 200);
  // A second one would come now.
  await sleep(300);
  assert.ok((await all('/v1/orders')).every(({ status }) => status === 200));
  t.diagnostic(`${world.provider.tokenCalls} token calls`);
  assert.equal(world.provider.tokenCalls, 2);
});
