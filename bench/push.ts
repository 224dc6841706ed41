// The push door: the generated configuration fed by our SDS, against the same Envoy without any credential, and against
// Envoy's own credential_injector with a secret from its configuration.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { parseConfig } from '../src/config/parse.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';
import { startEnvoy } from '../test/support/envoy.ts';
import { startProcess } from '../test/support/process.ts';
import { onCoresOfTheirOwn } from './cores.ts';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { startUpstream } from './load/upstream.ts';
import { hasWrk, httpLoad } from './load/wrk.ts';
import { processorTime } from './servers.ts';

/** Single rounds are 8 % apart on a quiet machine. */
const ROUNDS = 15;
const SECONDS = 1;
const CALLERS = 32;
const TOKEN = 'x'.repeat(900);
const HOSTS = { push: 'orders.example.com', native: 'native.example.com', none: 'open.example.com' } as const;

export async function push(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'push_vs_*', why: 'wrk is missing' }];
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const file = join(folder, 'bearerd.yaml');
  const text = `version: 1
mode: development
listen: { xds: "unix://${folder}/xds.sock" }
sources:
  orders: { static: { value: { inline: ${TOKEN} } } }
outbound:
  - { name: orders, match: { hosts: [${HOSTS.push}] }, inject: { source: orders } }
`;
  writeFileSync(file, text);
  const program = join(import.meta.dirname, '../bin/bearerd.js');
  const bearerd = await startProcess(process.execPath, [program, 'serve', '--config', file]);
  await bearerd.waitForOutput(/"listener":"xds","state":"listening"/);
  const upstream = await startUpstream();
  const there = { address: '127.0.0.1', port: upstream.port };
  const bootstrap = parse(
    generateEnvoy(parseConfig(text, file), {
      door: 'push',
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      upstreams: { [HOSTS.push]: there, '*': there },
    }),
  );
  addNative(bootstrap.static_resources);
  const envoy = await startEnvoy({ config: bootstrap, concurrency: 1 });
  const unpin = await onCoresOfTheirOwn(envoy.process.pid, [upstream.pid]);
  try {
    const port = await envoy.listenerPort('outbound');
    for (const [name, host] of Object.entries(HOSTS)) {
      const wanted = name === 'none' ? undefined : `Bearer ${TOKEN}`;
      for (let i = 0; (await seen(port, host)) !== wanted; i++) {
        if (i > 100) throw new Error(`${name}: the upstream did not see what it should`);
        await sleep(20);
      }
    }
    const rates: Record<string, number[]> = { push: [], native: [], none: [] };
    const cpus: Record<string, number[]> = { push: [], native: [], none: [] };
    const loads = Object.entries(HOSTS).map(([name, host]) => {
      const requests = Array.from({ length: 2_000 }, (_, i) => ({ host, path: `/v1/items/${i}` }));
      const own = mkdtempSync(join(folder, `${name}-`));
      return [name, httpLoad({ requests } as never, own)] as const;
    });
    for (const [, load] of loads) await load.rate(port, 1, CALLERS);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, load] of loads) {
        const before = processorTime(envoy.process.pid);
        const { perSecond, requests } = await load.rate(port, SECONDS, CALLERS);
        rates[name]!.push(perSecond);
        cpus[name]!.push((processorTime(envoy.process.pid) - before) / requests);
      }
    }
    const against = (of: typeof rates, name: string) => of['push']!.map((value, i) => value / of[name]![i]!);
    const busy = (name: string) => cpus[name]!.map((cpu, i) => (cpu * rates[name]![i]!) / 1_000_000);
    return [
      figureOf('push_requests', rates['push']!, 'requests/s'),
      figureOf('push_vs_no_auth', against(rates, 'none'), 'ratio', '0.93 or more'),
      figureOf('push_vs_native_injector', against(rates, 'native'), 'ratio'),
      // Envoy's own processor time a request: steadier than the above where the machine has other work.
      figureOf('push_envoy_cpu', cpus['push']!, 'us/request'),
      // Near 1: the door is what bounds the rate, and not what drives it or stands behind it.
      figureOf('push_envoy_core', busy('push'), 'of its core'),
      figureOf('none_envoy_core', busy('none'), 'of its core'),
      figureOf('push_envoy_cpu_vs_no_auth', against(cpus, 'none'), 'ratio'),
      figureOf('push_envoy_cpu_vs_native_injector', against(cpus, 'native'), 'ratio'),
    ];
  } finally {
    await unpin();
    await envoy.stop();
    await upstream.stop();
    await bearerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Resources {
  listeners: {
    filter_chains: { filters: { typed_config: { route_config: { virtual_hosts: object[] } } }[] }[];
  }[];
  clusters: {
    name: string;
    typed_extension_protocol_options?: Record<string, { http_filters?: object[] }>;
  }[];
  secrets?: object[];
}

/** A host of its own with the injector alone, on a copy of the policy's cluster. */
function addNative(resources: Resources): void {
  const ours = resources.clusters.find(({ name }) => name === `orders.${HOSTS.push}`)!;
  const cluster = structuredClone({ ...ours, name: 'native' });
  const [options] = Object.values(cluster.typed_extension_protocol_options!);
  options!.http_filters = [
    {
      name: 'envoy.filters.http.credential_injector',
      typed_config: {
        '@type':
          'type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
        overwrite: true,
        credential: {
          name: 'envoy.http.injected_credentials.generic',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic',
            credential: { name: 'native' },
          },
        },
      },
    },
    {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    },
  ];
  resources.clusters.push(cluster);
  resources.secrets = [{ name: 'native', generic_secret: { secret: { inline_string: `Bearer ${TOKEN}` } } }];
  resources.listeners[0]!.filter_chains[0]!.filters[0]!.typed_config.route_config.virtual_hosts.unshift({
    name: 'native',
    domains: [HOSTS.native],
    routes: [{ match: { prefix: '/' }, route: { cluster: 'native' } }],
  });
}

/** The credential that reached the upstream. */
export function seen(port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path: '/seen', headers: { host } }, (answer) => {
      answer.resume();
      const value = answer.headers['x-seen'];
      resolve(value === '-' || value === '' ? undefined : (value as string | undefined));
    })
      .on('error', reject)
      .end();
  });
}
