// Generated configurations of Envoy against each other: the same bearerd, policy, token, upstream and requests, round about.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../src/config/parse.ts';
import type { ServingDoor } from '../src/doors/generate/best-door.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';
import { answeringListener } from '../test/support/answering-listener.ts';
import { type StartedEnvoy, startEnvoy } from '../test/support/envoy.ts';
import { freePort } from '../test/support/ports.ts';
import { startProcess } from '../test/support/process.ts';
import { httpLoad } from './load/wrk.ts';
import { seen } from './push.ts';
import { processorTime } from './servers.ts';

const ROUNDS = 7;
const SECONDS = 2;
const CALLERS = 32;
const TOKEN = 'x'.repeat(900);
const HOST = 'orders.example.com';

export interface Variant {
  readonly door: ServingDoor;
  /** Top-level lines of the configuration that Envoy's is generated from. */
  readonly settings?: string;
}

/** A value a round; processor time in microseconds a request, of bearerd and of Envoy. */
export interface Side {
  readonly rates: number[];
  readonly cpus: number[];
  readonly envoyCpus: number[];
}

export async function sideBySide<Name extends string>(
  variants: Readonly<Record<Name, Variant>>,
): Promise<Readonly<Record<Name, Side>>> {
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
  const upstream = await startEnvoy({
    config: { static_resources: { listeners: [upstreamListener(upstreamPort)] } },
    concurrency: 1,
  });
  const sides: (Side & { readonly name: string; readonly envoy: StartedEnvoy; readonly port: number })[] = [];
  try {
    await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
    for (const [name, { door, settings = '' }] of Object.entries<Variant>(variants)) {
      const there = { address: '127.0.0.1', port: upstreamPort };
      const config = generateEnvoy(parseConfig(`${text}${settings}`, file), {
        door,
        listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
        upstreams: { [HOST]: there, '*': there },
      });
      const envoy = await startEnvoy({ config, concurrency: 1 });
      const port = await envoy.listenerPort('outbound');
      sides.push({ name, envoy, port, rates: [], cpus: [], envoyCpus: [] });
    }
    const requests = Array.from({ length: 2_000 }, (_, i) => ({ host: HOST, path: `/v1/items/${i}` }));
    const load = httpLoad({ requests } as never, folder);
    for (const { name, port } of sides) {
      const token = await seen(port, HOST);
      if (token !== `Bearer ${TOKEN}`) throw new Error(`${name}: the upstream saw ${token?.slice(0, 40)}`);
      await load.rate(port, 1, CALLERS);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const before = [processorTime(bearerd.pid), processorTime(side.envoy.process.pid)] as const;
        const { perSecond, requests: count } = await load.rate(side.port, SECONDS, CALLERS);
        side.rates.push(perSecond);
        side.cpus.push((processorTime(bearerd.pid) - before[0]) / count);
        side.envoyCpus.push((processorTime(side.envoy.process.pid) - before[1]) / count);
      }
    }
    return Object.fromEntries<Side>(sides.map((side) => [side.name, side])) as Record<Name, Side>;
  } finally {
    for (const { envoy } of sides) await envoy.stop();
    await upstream.stop();
    await bearerd.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An upstream that costs what a proxy does: the least that stands behind a sidecar in a mesh. */
function upstreamListener(port: number): object {
  const seen = {
    match: { prefix: '/seen' },
    direct_response: { status: 200 },
    response_headers_to_add: [{ header: { key: 'x-seen', value: '%REQ(authorization)%' } }],
  };
  return answeringListener('upstream', [], port, [
    seen,
    { match: { prefix: '/' }, direct_response: { status: 200 } },
  ]);
}
