// What metrics cost: the direct load on the same bearerd with metrics, scraped every second, and without any.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from '../test/support/process.ts';
import { type Figure, figureOf } from './figure.ts';
import { startLoad } from './load/load.ts';
import { processorTime } from './servers.ts';
import { createBenchWorld } from './world.ts';

const POLICIES = 1_000;
/** Two seconds, so that no round is without a scrape. */
const CALLS = 600_000;
const ROUNDS = 7;
const WARM_UP = 50_000;
/** As the launcher gives them to `serve`. */
const LIMITS = ['--max-semi-space-size=2', '--max-old-space-size=256'];

export async function metricsCost(): Promise<readonly Figure[]> {
  const world = createBenchWorld(POLICIES);
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-bench-'));
  const sides = [];
  let scraping: NodeJS.Timeout | undefined;
  try {
    for (const metrics of ['on', 'off']) {
      const socket = join(folder, `${metrics}.sock`);
      const config = join(folder, `${metrics}.yaml`);
      const listen = `{ check: "unix://${socket}", health: "127.0.0.1:0" }`;
      writeFileSync(config, `version: 1\nlisten: ${listen}\n${world.configuration}`);
      const server = await startProcess(
        process.execPath,
        [...LIMITS, join(import.meta.dirname, 'metrics-server.ts'), config, metrics],
        { name: `metrics ${metrics}` },
      );
      const [, health] = await server.waitForOutput(/^health (\S+)/m, 30_000);
      const load = await startLoad(world, socket, folder);
      sides.push({ server, load, health: health!, rates: [] as number[], cpus: [] as number[] });
      await load.run(WARM_UP);
    }
    const [on, off] = sides;
    scraping = setInterval(() => void scrape(on!.health), 1_000);
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides : [...sides].reverse()) {
        const before = processorTime(side.server.pid);
        side.rates.push(await side.load.run(CALLS));
        side.cpus.push((processorTime(side.server.pid) - before) / CALLS);
      }
    }
    return [
      figureOf('metrics_on_cpu', on!.cpus, 'us/call'),
      figureOf('metrics_off_cpu', off!.cpus, 'us/call'),
      figureOf(
        'metrics_cost',
        on!.rates.map((rate, i) => rate / off!.rates[i]!),
        'ratio',
        '0.85 or more',
      ),
    ];
  } finally {
    clearInterval(scraping);
    for (const { server, load } of sides) {
      await load.stop();
      await server.stop();
    }
    rmSync(folder, { recursive: true, force: true });
  }
}

async function scrape(health: string): Promise<void> {
  const reply = await fetch(`http://${health}/metrics`).catch(() => undefined);
  await reply?.text();
}
