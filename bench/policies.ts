// A warm Check with 10,000 policies against one with 10, through the front: the same share of requests matches in both,
// spread over all policies.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Figure, figureOf } from './figure.ts';
import { startLoad } from './load/load.ts';
import { startServer } from './servers.ts';
import { createBenchWorld } from './world.ts';

const CALLS = 200_000;
const ROUNDS = 5;
const WARM_UP = 50_000;

export async function policies(): Promise<readonly Figure[]> {
  const folders: string[] = [];
  const sides = [];
  try {
    for (const count of [10, 10_000]) {
      const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
      folders.push(folder);
      const world = createBenchWorld(count);
      const server = (await startServer('ours', world, folder))!;
      const load = await startLoad(world, server.socket, folder);
      sides.push({ server, load, rates: [] as number[], cpus: [] as number[] });
      await load.run(WARM_UP);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const before = side.server.cpu();
        side.rates.push(await side.load.run(CALLS));
        side.cpus.push((side.server.cpu() - before) / CALLS);
      }
    }
    const [few, many] = sides;
    return [
      figureOf('policies_10_cpu', few!.cpus, 'us/call'),
      figureOf('policies_10000_cpu', many!.cpus, 'us/call'),
      figureOf(
        'policies_10000_vs_10',
        many!.rates.map((rate, i) => rate / few!.rates[i]!),
        'ratio',
        '0.95 or more',
      ),
    ];
  } finally {
    for (const { server, load } of sides) {
      await load.stop();
      await server.process.stop();
    }
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}
