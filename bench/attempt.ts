// The attempt door against the check door: the same bearerd, policy, token and upstream, each with the configuration that
// is generated for it, round about.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../src/config/parse.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';
import { type StartedEnvoy, startEnvoy } from '../test/support/envoy.ts';
import { freePort } from '../test/support/ports.ts';
import { startProcess } from '../test/support/process.ts';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { hasWrk, httpLoad } from './load/wrk.ts';
import { seen, upstreamListener } from './push.ts';
import { processorTime } from './servers.ts';

const ROUNDS = 7;
const SECONDS = 2;
const CALLERS = 32;
const TOKEN = 'x'.repeat(900);
const HOST = 'orders.example.com';
const DOORS = ['attempt', 'check'] as const;

interface Side {
  readonly envoy: StartedEnvoy;
  readonly port: number;
  readonly rates: number[];
  readonly cpus: number[];
  readonly envoyCpus: number[];
}

export async function attempt(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'attempt_vs_check', why: 'wrk is missing' }];
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const upstreamPort = await freePort();
  const file = join(folder, 'bearerd.yaml');
  const text = `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", xds: "unix://${folder}/xds.sock" }
sources:
  orders: { static: { value: { inline: ${TOKEN} } } }
outbound:
  # heal_on, so that the rings of carried credentials are part of what is measured.
  - { name: orders, match: { hosts: [${HOST}] }, inject: { source: orders }, heal_on: 401 }
`;
  writeFileSync(file, text);
  const program = join(import.meta.dirname, '../bin/bearerd.js');
  const bearerd = await startProcess(process.execPath, [program, 'serve', '--config', file]);
  const sides = new Map<string, Side>();
  const upstream = await startEnvoy({
    config: { static_resources: { listeners: [upstreamListener(upstreamPort)] } },
    concurrency: 1,
  });
  try {
    await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
    for (const door of DOORS) {
      const there = { address: '127.0.0.1', port: upstreamPort };
      const config = generateEnvoy(parseConfig(text, file), {
        door,
        listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        upstreams: { [HOST]: there, '*': there },
      });
      const envoy = await startEnvoy({ config, concurrency: 1 });
      sides.set(door, {
        envoy,
        port: await envoy.listenerPort('outbound'),
        rates: [],
        cpus: [],
        envoyCpus: [],
      });
    }
    const requests = Array.from({ length: 2_000 }, (_, i) => ({ host: HOST, path: `/v1/items/${i}` }));
    const load = httpLoad({ requests } as never, folder);
    for (const [door, { port }] of sides) {
      const token = await seen(port, HOST);
      if (token !== `Bearer ${TOKEN}`) throw new Error(`${door}: the upstream saw ${token?.slice(0, 40)}`);
      await load.rate(port, 1, CALLERS);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides.values() : [...sides.values()].reverse()) {
        const before = [processorTime(bearerd.pid), processorTime(side.envoy.process.pid)] as const;
        const { perSecond, requests: count } = await load.rate(side.port, SECONDS, CALLERS);
        side.rates.push(perSecond);
        side.cpus.push((processorTime(bearerd.pid) - before[0]) / count);
        side.envoyCpus.push((processorTime(side.envoy.process.pid) - before[1]) / count);
      }
    }
    const [ours, check] = DOORS.map((door) => sides.get(door)!);
    const against = (of: 'rates' | 'cpus' | 'envoyCpus') => ours![of].map((n, i) => n / check![of][i]!);
    return [
      figureOf('attempt_requests', ours!.rates, 'requests/s'),
      figureOf('attempt_vs_check', against('rates'), 'ratio', '0.95 or more'),
      figureOf('attempt_cpu', ours!.cpus, 'us/attempt'),
      figureOf('attempt_cpu_vs_check', against('cpus'), 'ratio'),
      figureOf('attempt_envoy_cpu_vs_check', against('envoyCpus'), 'ratio'),
    ];
  } finally {
    for (const { envoy } of sides.values()) await envoy.stop();
    await upstream.stop();
    await bearerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
