// What access_log: full costs: the generated configuration of the check door with it and without, same bearerd and upstream.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../src/config/parse.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';
import { startEnvoy } from '../test/support/envoy.ts';
import { freePort } from '../test/support/ports.ts';
import { startProcess } from '../test/support/process.ts';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { hasWrk, httpLoad } from './load/wrk.ts';
import { upstreamListener } from './push.ts';
import { processorTime } from './servers.ts';

const ROUNDS = 7;
const SECONDS = 2;
const CALLERS = 32;
const HOST = 'orders.example.com';

export async function accessLog(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'access_log_full_vs_refusals', why: 'wrk is missing' }];
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const upstreamPort = await freePort();
  const file = join(folder, 'bearerd.yaml');
  const text = `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock", xds: "unix://${folder}/xds.sock" }
sources:
  orders: { static: { value: { inline: ${'x'.repeat(900)} } } }
outbound:
  - { name: orders, match: { hosts: [${HOST}] }, inject: { source: orders }, heal_on: 401 }
`;
  writeFileSync(file, text);
  const program = join(import.meta.dirname, '../bin/bearerd.js');
  const bearerd = await startProcess(process.execPath, [program, 'serve', '--config', file]);
  const upstream = await startEnvoy({
    config: { static_resources: { listeners: [upstreamListener(upstreamPort)] } },
    concurrency: 1,
  });
  const sides = [];
  try {
    await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
    for (const log of ['full', 'refusals']) {
      const there = { address: '127.0.0.1', port: upstreamPort };
      const config = generateEnvoy(parseConfig(`${text}access_log: ${log}\n`, file), {
        door: 'check',
        listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        upstreams: { [HOST]: there, '*': there },
      });
      const envoy = await startEnvoy({ config, concurrency: 1 });
      const port = await envoy.listenerPort('outbound');
      sides.push({ envoy, port, rates: [] as number[], cpus: [] as number[], envoyCpus: [] as number[] });
    }
    const requests = Array.from({ length: 2_000 }, (_, i) => ({ host: HOST, path: `/v1/items/${i}` }));
    const load = httpLoad({ requests } as never, folder);
    for (const { port } of sides) await load.rate(port, 1, CALLERS);
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const before = [processorTime(bearerd.pid), processorTime(side.envoy.process.pid)] as const;
        const { perSecond, requests: count } = await load.rate(side.port, SECONDS, CALLERS);
        side.rates.push(perSecond);
        side.cpus.push((processorTime(bearerd.pid) - before[0]) / count);
        side.envoyCpus.push((processorTime(side.envoy.process.pid) - before[1]) / count);
      }
    }
    const [full, refusals] = sides;
    const more = (of: 'cpus' | 'envoyCpus') => full![of].map((n, i) => n - refusals![of][i]!);
    return [
      figureOf(
        'access_log_full_vs_refusals',
        full!.rates.map((rate, i) => rate / refusals!.rates[i]!),
        'ratio',
      ),
      figureOf('access_log_full_cpu', more('cpus'), 'us/request more in bearerd'),
      figureOf('access_log_full_envoy_cpu', more('envoyCpus'), 'us/request more in Envoy'),
    ];
  } finally {
    for (const { envoy } of sides) await envoy.stop();
    await upstream.stop();
    await bearerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
