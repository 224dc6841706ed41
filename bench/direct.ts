// Calls straight to the servers' sockets, without Envoy: what the server alone can do, and what it costs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { type Load, startLoad } from './load/load.ts';
import { type BenchServer, type ServerName, startServer } from './servers.ts';
import { createBenchWorld } from './world.ts';

const POLICIES = 1_000;
const ROUNDS = 5;
const WARM_UP = 5_000;
const CALLS: Record<ServerName, number> = {
  ours: 200_000,
  ours_node: 40_000,
  go: 60_000,
  go_encoded: 60_000,
  rust: 100_000,
  rust_encoded: 100_000,
  grpcjs: 30_000,
};
const MAX_LOAD_RSS = '120 or less';

interface Side {
  readonly server: BenchServer;
  readonly load: Load;
  readonly rates: number[];
  readonly cpus: number[];
}

export async function direct(): Promise<readonly (Figure | Skipped)[]> {
  const world = createBenchWorld(POLICIES);
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const sides = new Map<ServerName, Side>();
  const told: (Figure | Skipped)[] = [];
  try {
    for (const name of Object.keys(CALLS) as ServerName[]) {
      const server = await startServer(name, world, folder);
      if (server === undefined) told.push({ skipped: `direct ${name}`, why: 'no compiler for it here' });
      else
        sides.set(name, { server, load: await startLoad(world, server.socket, folder), rates: [], cpus: [] });
    }
    for (const { load } of sides.values()) await load.run(WARM_UP);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, side] of sides) {
        const before = side.server.cpu();
        side.rates.push(await side.load.run(CALLS[name]));
        side.cpus.push((side.server.cpu() - before) / CALLS[name]);
      }
    }
    const ours = sides.get('ours')!;
    for (const [name, { rates, cpus }] of sides) {
      told.push(figureOf(`check_direct_${name}_calls`, rates, 'calls/s'));
      told.push(figureOf(`check_direct_${name}_cpu`, cpus, 'us/call'));
      if (name === 'ours') continue;
      const ratios = rates.map((rate, i) => ours.rates[i]! / rate);
      const wanted = name === 'go' ? '4 or more' : undefined;
      told.push(figureOf(`check_direct_vs_${name}`, ratios, 'ratio', wanted));
    }
    told.push({ name: 'rss_load_mb', value: ours.server.rss(), unit: 'MB', wanted: MAX_LOAD_RSS });
    return told;
  } finally {
    for (const { server, load } of sides.values()) {
      await load.stop();
      await server.process.stop();
    }
    rmSync(folder, { recursive: true, force: true });
  }
}
