// What a policy's resilience becomes in a mesh with a real istiod: it arrives in the Envoy beside what the team's own
// DestinationRule and Istio's own routes say, and does what it says.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, globalAgent } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { createWorld, ORDERS, send, type World } from '../../demo/world.ts';
import type { StartedEnvoy } from '../support/envoy.ts';
import {
  generateIstio,
  generateIstioText,
  type Mesh,
  serviceEntry,
  skipMesh,
  startMesh,
} from '../support/mesh.ts';
import { freePort } from '../support/ports.ts';

const NAMESPACE = 'shop';
const RESILIENCE = `resilience:
      retries: 2
      retry_after: 5s
      outlier_detection: { consecutive_errors: 5, ejection_time: 60s }
      connections: { max: 50, max_pending: 7, requests_per_connection: 1000, idle_timeout: 30s }
      header_case: preserve`;
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

interface Attempt {
  readonly method: string;
  readonly raw: readonly string[];
  readonly at: number;
}
type Tree = { readonly [key: string]: Tree } & readonly Tree[];

describe('resilience in a mesh with a real istiod', { skip: skipMesh }, () => {
  let world: World;
  let mesh: Mesh;
  let envoy: StartedEnvoy;
  let port: number;
  let attempts: Attempt[] = [];
  let broken = 0;
  /** Fails the first attempt of a request as its query says. */
  const upstream = createServer((request, response) => {
    attempts.push({ method: request.method!, raw: request.rawHeaders, at: performance.now() });
    request.resume();
    const fault = attempts.length === 1 ? /fault=(\w+)/.exec(request.url!)?.[1] : undefined;
    if (fault === 'reset') return void request.socket.destroy();
    if (fault === '429') response.setHeader('retry-after', '1');
    response.statusCode = Number(fault ?? 200);
    response.end('{}');
  });
  const brokenUpstream = createServer((_, response) => {
    broken++;
    response.writeHead(500).end();
  });
  const http2: { readonly version: string; readonly authorization: string | undefined }[] = [];
  const http2Upstream = createHttp2Server((request, response) => {
    http2.push({ version: request.httpVersion, authorization: request.headers.authorization });
    response.end('{}');
  });

  before(async () => {
    for (const server of [upstream, brokenUpstream, http2Upstream])
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    world = await createWorld({ policy: RESILIENCE });
    await world.startBearerd();
    await world.ready();
    mesh = await startMesh(NAMESPACE);
    port = await freePort();
    await servedBy(upstream);
    envoy = await mesh.istio.joinEnvoy(NAMESPACE, port);
  });
  after(async () => {
    await mesh?.stop();
    await world?.stop();
    for (const server of [upstream, brokenUpstream]) server.close().closeAllConnections();
    http2Upstream.close();
  });

  async function servedBy(...servers: readonly { address(): unknown }[]): Promise<void> {
    const endpoints = servers.map((server) => ({
      address: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
    }));
    await mesh.apply([serviceEntry(NAMESPACE, ORDERS, port, ...endpoints)]);
  }

  /** The team's DestinationRule; undefined = none. */
  async function rule(connectionPool: object): Promise<void> {
    await mesh.apply([
      {
        apiVersion: 'networking.istio.io/v1',
        kind: 'DestinationRule',
        metadata: { name: 'orders', namespace: NAMESPACE },
        spec: { host: ORDERS, trafficPolicy: { connectionPool } },
      },
    ]);
  }

  const flags = (door: string, ...more: string[]) => [
    ...['--config', world.configFile, '--namespace', NAMESPACE, '--door', door],
    ...more,
  ];

  async function serveBy(door: string, ...more: string[]): Promise<void> {
    const documents = await generateIstio(...flags(door, ...more));
    await mesh.replaceFilters(documents.filter(({ kind }) => kind === 'EnvoyFilter'));
    await mesh.until(async () => {
      attempts = [];
      http2.length = 0;
      globalAgent.destroy();
      const { status } = await send(port, '/v1/x').catch(() => ({ status: 0 }));
      const came = attempts[0]?.raw.some((value) => value.startsWith('Bearer '));
      return status === 200 && (came || http2[0]?.authorization !== undefined);
    }, `a credential by ${door}`);
    // Whatever istiod still sends, and connections of the listener before.
    await sleep(1_000);
    globalAgent.destroy();
  }

  async function configOf(kind: string, name: (entry: Tree) => boolean): Promise<Tree> {
    const { configs } = JSON.parse(await envoy.admin(`/config_dump?resource=${kind}`)) as { configs: Tree[] };
    return configs.find(name)!;
  }
  const ordersCluster = async () =>
    (
      await configOf('dynamic_active_clusters', ({ cluster }) =>
        String(cluster!['name']).endsWith(`|${ORDERS}`),
      )
    )['cluster']!;
  const ordersRoute = async () => {
    const { route_config } = await configOf('dynamic_route_configs', ({ route_config: found }) =>
      JSON.stringify(found).includes(`"${ORDERS}`),
    );
    const host = route_config!['virtual_hosts']!.find(({ name }) => String(name).startsWith(ORDERS))!;
    return host['routes']![0]!['route']!;
  };

  for (const door of ['check', 'push', 'attempt']) {
    test(`${door}: all of it arrives in Envoy, and GET is tried again where POST is not`, async (t) => {
      await serveBy(door);
      await mesh.assertAccepted();
      const cluster = await ordersCluster();
      const outliers = cluster['outlier_detection']!;
      assert.deepEqual(
        [outliers['consecutive_5xx'], outliers['base_ejection_time'], outliers['max_ejection_percent']],
        [5, '60s', 50],
      );
      const options = cluster['typed_extension_protocol_options']![HTTP_OPTIONS]!;
      assert.deepEqual(options['common_http_protocol_options'], {
        idle_timeout: '30s',
        max_requests_per_connection: 1000,
      });
      assert.match(JSON.stringify(options), /"preserve_case"/);
      const retry = (await ordersRoute())['retry_policy']!;
      t.diagnostic(JSON.stringify(retry));
      assert.deepEqual(retry['rate_limited_retry_back_off'], {
        reset_headers: [{ name: 'retry-after' }],
        max_interval: '5s',
      });

      const ask = async (method: string, fault: string): Promise<[status: number, attempts: number]> => {
        attempts = [];
        const { status } = await send(port, `/v1/x?fault=${fault}`, {
          method,
          headers: { 'X-MiXed-Case': 'yes' },
        });
        return [status, attempts.length];
      };
      for (const fault of ['500', '502', '503', '504', 'reset']) {
        assert.deepEqual(await ask('GET', fault), [200, 2], `GET ${fault}`);
        const seen = fault === 'reset' ? 503 : Number(fault);
        assert.deepEqual(await ask('POST', fault), [seen, 1], `POST ${fault}`);
      }
      const healed = door === 'check' ? [401, 1] : [200, 2];
      for (const method of ['GET', 'POST']) assert.deepEqual(await ask(method, '401'), healed, method);
      assert.deepEqual(await ask('GET', '429'), [200, 2]);
      const waited = attempts[1]!.at - attempts[0]!.at;
      t.diagnostic(`Retry-After: 1 was waited for ${waited.toFixed(0)} ms`);
      assert.ok(waited >= 995 && waited < 2_500, `${waited}`);
      assert.ok(attempts[0]!.raw.includes('X-MiXed-Case'), `${attempts[0]!.raw}`);
      assert.ok(attempts[0]!.raw.includes('Authorization'), `${attempts[0]!.raw}`);
    });
  }

  test('an address that fails five times in a row gets no more requests', async () => {
    await serveBy('push');
    await servedBy(upstream, brokenUpstream);
    broken = 0;
    const ejected = async () =>
      [...(await envoy.stats(`${ORDERS}.*ejections_active`)).values()].some((value) => value === 1);
    await mesh.until(async () => {
      await send(port, '/v1/x', { method: 'POST' });
      return ejected();
    }, 'ejected');
    // Envoy's worker hears of it after its main thread has counted it.
    await mesh.until(async () => {
      broken = 0;
      const answers = await Promise.all(
        Array.from({ length: 50 }, () => send(port, '/v1/x', { method: 'POST' })),
      );
      return broken === 0 && answers.every(({ status }) => status === 200);
    }, 'fifty requests in a row served by the other address');
    await servedBy(upstream);
  });

  test('limits of connections go into the DestinationRule as they are printed', async () => {
    const lines = (await generateIstioText(...flags('push'))).split('\n');
    const from = lines.findIndex((line) => line.startsWith('# Put under trafficPolicy'));
    const length = lines.slice(from + 1).findIndex((line) => !line.startsWith('#   '));
    const printed = lines
      .slice(from + 1, from + 1 + length)
      .map((line) => line.slice(4))
      .join('\n');
    await rule((parse(printed) as { connectionPool: object }).connectionPool);
    await serveBy('push');
    await mesh.assertAccepted();
    assert.deepEqual(await limits('max_connections', 'max_pending_requests'), [50, 7]);
  });

  test('a DestinationRule that allows few retries is named, since no patch of Envoy can raise them', async () => {
    await mesh.replaceFilters([]);
    await rule({ http: { maxRetries: 3 } });
    await mesh.until(async () => (await limits('max_retries'))[0] === 3, 'the rule alone');
    const dump = await saveDump();
    assert.match(
      await generateIstioText(...flags('push', '--from-cluster', dump)),
      /# TOO FEW RETRIES: .* orders\.example\.com lets 3 run at once/,
    );
    await serveBy('push', '--from-cluster', dump);
    await mesh.apply([raisedRetries()]);
    // A MERGE appends, and Envoy counts by the first.
    await mesh.until(
      async () => (await ordersCluster())['circuit_breakers']!['thresholds']!.length === 2,
      'patched',
    );
    assert.deepEqual(await limits('max_retries'), [3]);
    await rule({ http: { maxRetries: 4096 } });
    await mesh.until(async () => (await limits('max_retries'))[0] === 4096, 'as it is told');
    assert.doesNotMatch(
      await generateIstioText(...flags('push', '--from-cluster', await saveDump())),
      /TOO FEW RETRIES/,
    );
  });

  function raisedRetries(): object {
    return {
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'EnvoyFilter',
      metadata: { name: 'raised', namespace: NAMESPACE },
      spec: {
        configPatches: [
          {
            applyTo: 'CLUSTER',
            match: { context: 'SIDECAR_OUTBOUND', cluster: { service: ORDERS } },
            patch: {
              operation: 'MERGE',
              value: { circuit_breakers: { thresholds: [{ max_retries: 4_096 }] } },
            },
          },
        ],
      },
    };
  }

  /** What Envoy itself goes by. */
  async function limits(...what: readonly string[]): Promise<(number | undefined)[]> {
    const lines = (await envoy.admin('/clusters')).split('\n').filter((line) => line.includes(`|${ORDERS}`));
    return what.map((name) => {
      const line = lines.find((l) => l.includes(`::default_priority::${name}::`));
      return line === undefined ? undefined : Number(line.split('::').at(-1));
    });
  }

  async function saveDump(): Promise<string> {
    const dump = join(world.folder, 'config_dump.json');
    writeFileSync(dump, await envoy.admin('/config_dump'));
    return dump;
  }

  for (const door of ['push', 'attempt']) {
    test(`${door}: idle timeout, requests per connection and h2 upgrade of a DestinationRule stay`, async () => {
      await mesh.replaceFilters([]);
      await rule({
        http: { idleTimeout: '77s', maxRequestsPerConnection: 42, h2UpgradePolicy: 'UPGRADE' },
      });
      await servedBy(http2Upstream);
      let own: Tree;
      await mesh.until(async () => {
        own = (await ordersCluster())['typed_extension_protocol_options']![HTTP_OPTIONS]!;
        return JSON.stringify(own).includes('"77s"') && own['http_filters'] === undefined;
      }, 'the rule alone');
      await serveBy(door, '--from-cluster', await saveDump());
      await mesh.assertAccepted();
      const { http_filters, upstream_http_protocol_options, ...kept } = (await ordersCluster())[
        'typed_extension_protocol_options'
      ]![HTTP_OPTIONS]!;
      // For the TLS that a host outside is to have.
      assert.deepEqual(upstream_http_protocol_options, { auto_sni: true, auto_san_validation: true });
      assert.ok(http_filters!.length >= 2);
      // What the policy itself states counts more.
      assert.deepEqual(kept, {
        ...own!,
        common_http_protocol_options: { idle_timeout: '30s', max_requests_per_connection: 1000 },
      });
      assert.ok(own!['explicit_http_config']!['http2_protocol_options']);
      http2.length = 0;
      assert.equal((await send(port, '/v1/x')).status, 200);
      assert.equal(http2[0]!.version, '2.0');
      assert.match(http2[0]!.authorization!, /^Bearer /);
    });
  }
});
