// Checks through real Envoy: one worker, ext_authz to each server's socket, an answer of Envoy's own behind it.
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type StartedEnvoy, startEnvoy } from '../test/support/envoy.ts';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { type HttpLoad, hasWrk, httpLoad } from './load/wrk.ts';
import { type BenchServer, processorTime, type ServerName, startServer } from './servers.ts';
import { type BenchWorld, createBenchWorld } from './world.ts';

const POLICIES = 1_000;
const ROUNDS = 5;
const SECONDS = 2;
const CALLERS = 32;
const NAMES: readonly ServerName[] = ['ours', 'ours_node', 'go', 'go_encoded', 'rust', 'rust_encoded'];

interface Side {
  readonly server: BenchServer;
  readonly port: number;
  readonly rates: number[];
  readonly latencies: number[];
  readonly cpus: number[];
  readonly envoyCpus: number[];
}

export async function throughEnvoy(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'check_envoy_*', why: 'wrk is missing' }];
  const world = createBenchWorld(POLICIES);
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const servers = new Map<ServerName, BenchServer>();
  const told: (Figure | Skipped)[] = [];
  let envoy: StartedEnvoy | undefined;
  try {
    for (const name of NAMES) {
      const server = await startServer(name, world, folder);
      if (server === undefined) told.push({ skipped: `envoy ${name}`, why: 'no compiler for it here' });
      else servers.set(name, server);
    }
    envoy = await startEnvoy({ config: configurationOf(servers, world), concurrency: 1 });
    const load = httpLoad(world, folder);
    const sides = new Map<ServerName, Side>();
    for (const [name, server] of servers) {
      const port = await envoy.listenerPort(name);
      await expectTokens(await envoy.listenerPort(`${name}_seen`), world);
      await load.rate(port, 1, CALLERS); // far above 5,000 calls
      sides.set(name, { server, port, rates: [], latencies: [], cpus: [], envoyCpus: [] });
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of sides.values()) await measure(side, load, envoy.process.pid);
    }
    return [...told, ...figures(sides)];
  } finally {
    await envoy?.stop();
    for (const server of servers.values()) await server.process.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  { server, port, rates, latencies, cpus, envoyCpus }: Side,
  load: HttpLoad,
  envoyPid: number,
): Promise<void> {
  const before = server.cpu();
  const envoyBefore = processorTime(envoyPid);
  const { perSecond, requests } = await load.rate(port, SECONDS, CALLERS);
  rates.push(perSecond);
  envoyCpus.push((processorTime(envoyPid) - envoyBefore) / requests);
  cpus.push((server.cpu() - before) / requests);
  latencies.push((await load.rate(port, SECONDS, 1)).meanUs);
}

function figures(sides: ReadonlyMap<ServerName, Side>): Figure[] {
  const ours = sides.get('ours')!;
  const told: Figure[] = [];
  const goals: Record<string, string> = {
    check_envoy_vs_go: '1.3 or more',
    check_envoy_vs_rust: '1.25 or more',
    check_cpu_vs_go: '0.25 or less',
    check_cpu_vs_rust: '0.6 or less',
    check_envoy_latency_vs_go: '0.85 or less',
  };
  const ratio = (name: string, mine: readonly number[], theirs: readonly number[]) => {
    const rounds = mine.map((value, i) => value / theirs[i]!);
    told.push(figureOf(name, rounds, 'ratio', goals[name]));
  };
  for (const [name, side] of sides) {
    told.push(figureOf(`check_envoy_${name}_requests`, side.rates, 'requests/s'));
    told.push(figureOf(`check_envoy_${name}_latency`, side.latencies, 'us'));
    told.push(figureOf(`check_envoy_${name}_cpu`, side.cpus, 'us/call'));
    // Envoy's own share: what the answer's shape and the batches of a server cost it.
    told.push(figureOf(`check_envoy_${name}_envoy_cpu`, side.envoyCpus, 'us/call'));
    if (name === 'ours') continue;
    ratio(`check_envoy_vs_${name}`, ours.rates, side.rates);
    ratio(`check_envoy_latency_vs_${name}`, ours.latencies, side.latencies);
    ratio(`check_cpu_vs_${name}`, ours.cpus, side.cpus);
  }
  return told;
}

/** Listeners for each server: one for the load and one that shows the token (a copy of 900 bytes is no part of a Check). As the generated filter: the route's mark, no header but x-request-id, one retry. */
function configurationOf(servers: ReadonlyMap<ServerName, BenchServer>, world: BenchWorld): object {
  const names = [...servers.keys()];
  return {
    static_resources: {
      listeners: names.flatMap((name) => [listenerOf(name, world, false), listenerOf(name, world, true)]),
      clusters: names.map((name) => ({
        name,
        connect_timeout: '1s',
        load_assignment: {
          cluster_name: name,
          endpoints: [
            { lb_endpoints: [{ endpoint: { address: { pipe: { path: servers.get(name)!.socket } } } }] },
          ],
        },
        circuit_breakers: { thresholds: [{ max_requests: 65_536, max_pending_requests: 65_536 }] },
        typed_extension_protocol_options: {
          'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
            '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
            explicit_http_config: { http2_protocol_options: {} },
          },
        },
      })),
    },
  };
}

const TYPE = 'type.googleapis.com/envoy.extensions.filters';

function listenerOf(name: string, world: BenchWorld, shown: boolean): object {
  const hosts = new Map<string, object[]>();
  for (const policy of world.policies) {
    const domain = policy.kind === 'wildcard' ? `*.${policy.host}` : policy.host;
    const routes = hosts.get(domain) ?? [];
    hosts.set(domain, [
      ...routes,
      {
        match: { prefix: `${policy.path}/` },
        direct_response: { status: 200 },
        ...(shown && {
          response_headers_to_add: [{ header: { key: 'x-seen', value: '%REQ(authorization)%' } }],
        }),
        typed_per_filter_config: {
          'envoy.filters.http.ext_authz': {
            '@type': `${TYPE}.http.ext_authz.v3.ExtAuthzPerRoute`,
            check_settings: { context_extensions: { policy: policy.name } },
          },
        },
      },
    ]);
  }
  const manager = {
    '@type': `${TYPE}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    route_config: {
      virtual_hosts: [...hosts].map(([domain, routes]) => ({ name: domain, domains: [domain], routes })),
    },
    http_filters: [
      {
        name: 'envoy.filters.http.ext_authz',
        typed_config: {
          '@type': `${TYPE}.http.ext_authz.v3.ExtAuthz`,
          transport_api_version: 'V3',
          grpc_service: {
            envoy_grpc: { cluster_name: name, retry_policy: { num_retries: 1 } },
            timeout: '4.3s',
          },
          allowed_headers: { patterns: [{ exact: 'x-request-id' }] },
        },
      },
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPE}.http.router.v3.Router` },
      },
    ],
  };
  return {
    name: shown ? `${name}_seen` : name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
  };
}

/** The right token is on the request behind the filter, for a sample of the requests. */
async function expectTokens(port: number, world: BenchWorld): Promise<void> {
  for (let i = 0; i < world.requests.length; i += 101) {
    const { host, path, token } = world.requests[i]!;
    const seen = await new Promise<string>((resolve, reject) => {
      request({ host: '127.0.0.1', port, path, headers: { host } }, (answer) => {
        answer.resume();
        resolve(`${answer.statusCode} ${answer.headers['x-seen']}`);
      })
        .on('error', reject)
        .end();
    });
    if (seen !== `200 Bearer ${token}`) throw new Error(`${host}${path} was answered ${seen.slice(0, 80)}`);
  }
}
