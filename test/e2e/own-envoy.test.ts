// docs/doors.md, "Into an Envoy of your own": the pieces put into a configuration with filters, retries and an upstream of its
// own that speaks HTTP/2 alone, as their headings say it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import { gated } from '../../demo/world.ts';
import { blocksBelow } from '../support/doc-blocks.ts';
import { runBlock } from '../support/doc-shell.ts';
import { startEnvoy } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';

const TYPES = 'type.googleapis.com/envoy';
const HTTP = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const HOST = 'orders.example.com';

// biome-ignore lint/suspicious/noExplicitAny: Envoy's configuration, which is looked into by hand here.
type Yaml = any;

function own(port: number, ca: string): Yaml {
  const socket_address = (port_value: number) => ({ address: '127.0.0.1', port_value });
  const rules = {
    action: 'DENY',
    policies: {
      deletes: {
        permissions: [{ header: { name: ':method', string_match: { exact: 'DELETE' } } }],
        principals: [{ any: true }],
      },
    },
  };
  const manager = {
    '@type': `${TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'own',
    route_config: {
      virtual_hosts: [
        {
          name: 'orders',
          domains: [HOST],
          retry_policy: { retry_on: '5xx', num_retries: 2 },
          routes: [{ match: { prefix: '/' }, route: { cluster: 'orders', timeout: '20s' } }],
        },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.rbac',
        typed_config: { '@type': `${TYPES}.extensions.filters.http.rbac.v3.RBAC`, rules },
      },
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPES}.extensions.filters.http.router.v3.Router` },
      },
    ],
  };
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager };
  const listener = {
    name: 'own',
    address: { socket_address: socket_address(0) },
    filter_chains: [{ filters: [filter] }],
  };
  const orders = {
    name: 'orders',
    type: 'STATIC',
    load_assignment: {
      cluster_name: 'orders',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: socket_address(port) } } }] }],
    },
    typed_extension_protocol_options: {
      [HTTP]: {
        '@type': `${TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TYPES}.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
        sni: HOST,
        common_tls_context: {
          validation_context: {
            trusted_ca: { filename: ca },
            match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: HOST } }],
          },
        },
      },
    },
  };
  return {
    node: { id: 'checkout-1', cluster: 'checkout' },
    static_resources: { listeners: [listener], clusters: [orders] },
  };
}

/** Each part to where its heading sends it. */
function pasted(mine: Yaml, pieces: string): Yaml {
  const [ours, upstreams, filters, routes]: Yaml[] = parseAllDocuments(pieces).map((one) => one.toJS());
  const { static_resources: resources } = mine;
  const manager = resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const { http_filters, ...settings } = filters;
  resources.clusters.push(...ours.clusters);
  Object.assign(manager, settings, { http_filters: [...manager.http_filters.slice(0, -1), ...http_filters] });
  const [host] = manager.route_config.virtual_hosts;
  const [cluster] = resources.clusters;
  const { routes: generated, ...marks } = routes.route_config.virtual_hosts[0];
  Object.assign(host, { ...marks, name: host.name, domains: host.domains });
  host.routes = generated.map(({ route, ...rest }: Yaml) => {
    const {
      name,
      metadata,
      circuit_breakers,
      typed_extension_protocol_options: options,
    } = upstreams.clusters.find((one: Yaml) => one.name === route.cluster);
    const http_filters = options[HTTP].http_filters;
    // The check door needs nothing in it, nor do routes without a credential.
    if (http_filters === undefined) return { ...rest, route: { ...route, cluster: cluster.name } };
    const copy = structuredClone(cluster);
    Object.assign(copy.typed_extension_protocol_options[HTTP], { http_filters });
    resources.clusters.push({ ...copy, name, metadata, circuit_breakers });
    return { ...rest, route };
  });
  return mine;
}

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: an own Envoy with the pieces keeps its filters and the protocol of its upstream, and doctor finds nothing`, async (t) => {
    const gateway = await startGateway(t, {
      mode: 'production',
      sources: '  orders: { required: true, static: { value: { file: FOLDER/key } } }',
      policy: 'mode: enforce',
      files: { key: 'secret' },
    });
    await gateway.ready();
    const { folder } = gateway;
    const authority = await createAuthority(folder);
    const { cert, key } = await authority.issue(HOST, 'server');
    const upstream = createSecureServer(
      { cert: readFileSync(cert), key: readFileSync(key) },
      (request, response) => response.end(String(request.headers.authorization)),
    );
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
    t.after(() => upstream.close());
    const { port } = upstream.address() as AddressInfo;

    const [stated, commands] = blocksBelow('docs/doors.md', 'Into an Envoy of your own');
    writeFileSync(
      join(folder, 'upstreams.yaml'),
      stated!.text
        .replace('orders.prod.svc.cluster.local', HOST)
        .replace('address: orders', 'address: 127.0.0.1')
        .replace('8443', String(port))
        .replace('/etc/ssl/corp.pem', authority.ca),
    );
    const [generate, ask] = commands!.text.trim().split('\n');
    await runBlock(t, { ...commands!, text: `${generate!.replace('best', door)}\n` }, folder);
    const pieces = readFileSync(join(folder, 'pieces.yaml'), 'utf8');
    const envoy = await startEnvoy({ config: pasted(own(port, authority.ca), pieces) });
    t.after(() => envoy.stop());
    const { send } = await gated(envoy);

    const { status, body } = await send('/');
    assert.deepEqual([status, body], [200, 'Bearer secret']);
    assert.equal((await send('/', { method: 'DELETE' })).status, 403);
    const [said] = await runBlock(
      t,
      { ...commands!, text: `${ask!.replace('http://127.0.0.1:15000', envoy.adminUrl)}\n` },
      folder,
    );
    assert.equal(said, 'nothing is wrong\n');
  });
}
