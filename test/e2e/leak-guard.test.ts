// The leak guard at run time, on real Envoys whose clusters say something else than bearerd was told: no credential goes out
// without TLS, and none to a cluster of Istio for another host.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { TRANSPORT } from '../../src/doors/attempt/upstream.ts';
import { DEFAULT_ENVOY, TESTED_ENVOYS } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';
import { startedWorld } from '../support/world.ts';

/** Of loopback nothing is told, since a plain one is fine there: here it stands for an upstream elsewhere. */
function telling(bootstrap: string): string {
  const document = parse(bootstrap);
  for (const { typed_extension_protocol_options: options } of document.static_resources.clusters) {
    for (const { name, typed_config } of (Object.values(options)[0] as { http_filters?: Filter[] })
      .http_filters ?? []) {
      if (name === 'envoy.filters.http.ext_proc')
        typed_config.grpc_service.initial_metadata.push(...TRANSPORT);
    }
  }
  return stringify(document);
}
interface Filter {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: what YAML holds
  readonly typed_config: any;
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: where the connection has no TLS the credential stays here, unless the policy allows it`, async (t) => {
    for (const allowed of version === DEFAULT_ENVOY ? [false, true] : [false]) {
      const carried: (string | undefined)[] = [];
      const gateway = await startGateway(t, {
        mode: 'production',
        sources: '  orders: { static: { value: { file: FOLDER/key } } }',
        files: { key: 'a-key' },
        policy: `allow_plaintext: ${allowed}`,
        upstream: ({ headers }, response) => {
          carried.push(headers.authorization);
          response.end();
        },
      });
      await gateway.ready();
      const { send } = await gateway.startEnvoy('attempt', { version, change: telling });
      const statuses: number[] = [];
      for (let i = 0; i < 20; i++) statuses.push((await send('/x')).status);
      if (allowed) {
        assert.deepEqual([...new Set(statuses)], [200]);
        continue;
      }
      // Envoy knows the connection once it is there: the attempt that opened it was asked about before.
      assert.deepEqual(statuses, [200, ...Array.from({ length: 19 }, () => 403)]);
      const refused = await send('/x', { headers: { authorization: 'Bearer of-the-app' } });
      assert.equal(refused.headers['x-bearerd-reason'], 'plaintext_upstream');
      const many = await Promise.all(Array.from({ length: 50 }, () => send('/x')));
      assert.deepEqual([...new Set(many.map(({ status }) => status))], [403], 'new connections, too');
      assert.deepEqual(carried, ['Bearer a-key'], 'by the first one');
      assert.match(await gateway.metrics(), /reason="plaintext_upstream"[^\n]* 70\n/);
    }
  });
}

test('over TLS it goes, and to a cluster of Istio for another host it does not', async (t) => {
  const world = await startedWorld(t);
  await world.ready();
  const renamed = (name: string) => (bootstrap: string) => {
    const changed = bootstrap.replaceAll('orders.orders.example.com', name);
    assert.notEqual(changed, bootstrap);
    return changed;
  };
  const own = await world.startEnvoy('attempt', renamed('outbound|80||orders.example.com'));
  const other = await world.startEnvoy('attempt', renamed('outbound|80||invoices.example.com'));
  for (let i = 0; i < 3; i++) {
    assert.equal((await own.send('/v1/orders')).status, 200);
    const { status, headers } = await other.send('/v1/orders');
    assert.deepEqual([status, headers['x-bearerd-reason']], [403, 'unbound_upstream']);
  }
});
