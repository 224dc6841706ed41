// npm run fleet [-- --seconds N --processes N --apps N]: a fleet in front of one provider and one Redis. One line a figure
// (name value unit). Parts are real: oidc-provider and Valkey as processes of their own, toxiproxy between.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { freePort } from '../../test/support/ports.ts';
import { type StartedProcess, startProcess } from '../../test/support/process.ts';
import { startRedis } from '../../test/support/redis.ts';
import { startToxiproxy } from '../../test/support/toxiproxy.ts';
import { AUDIENCES, type FleetPlaces } from './configuration.ts';
import type { PhaseCounts } from './member.ts';

const LIFETIME_SECONDS = 20;
const CHECKS_PER_SECOND = 5;

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '180' },
    processes: { type: 'string', default: '10' },
    apps: { type: 'string', default: '20' },
    /** For comparison: each app on its own, undisturbed only. */
    alone: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);

const folder = mkdtempSync(join(tmpdir(), 'bearerd-fleet-'));
const stops: (() => Promise<unknown>)[] = [];
const calls: { audience: string; at: number }[] = [];

const print = (name: string, value: number, unit: string, wanted = '') =>
  process.stdout.write(
    `${name} ${Number.isInteger(value) ? value : value.toFixed(2)} ${unit}${wanted && `  wanted ${wanted}`}\n`,
  );

async function startProvider(port: number): Promise<StartedProcess> {
  const provider = await startProcess(
    process.execPath,
    [join(import.meta.dirname, 'provider.ts'), String(port), String(LIFETIME_SECONDS)],
    { name: 'provider' },
  );
  let rest = '';
  provider.child.stdout!.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    for (const line of lines) {
      const [, audience, at] = /^call (\S+) (\d+)$/.exec(line) ?? [];
      if (audience !== undefined) calls.push({ audience, at: Number(at) });
    }
  });
  await provider.waitForOutput(/^ready/m, 30_000);
  return provider;
}

try {
  const redis = await startRedis();
  stops.push(() => redis.stop());
  const toxiproxy = await startToxiproxy();
  stops.push(() => toxiproxy.stop());
  const way = await toxiproxy.proxy('redis', redis.port);
  const issuerPort = await freePort();
  let provider = await startProvider(issuerPort);
  stops.push(() => provider.stop());
  const places: FleetPlaces = {
    issuerPort,
    redisPort: values.alone ? undefined : way.port,
    key: randomBytes(32).toString('base64'),
  };

  const members = await Promise.all(
    Array.from({ length: Number(values.processes) }, (_, i) =>
      startProcess(
        process.execPath,
        [join(import.meta.dirname, 'member.ts'), folder, values.apps, String(CHECKS_PER_SECOND)],
        { name: `member ${i}`, stdin: true, env: { ...process.env, FLEET: JSON.stringify(places) } },
      ),
    ),
  );
  stops.push(() => Promise.all(members.map((member) => member.stop())));
  await Promise.all(members.map((member) => member.waitForOutput(/^ready/m, 120_000)));

  const phase = async (name: string, run: () => Promise<unknown>) => {
    for (const member of members) member.child.stdin!.write(`${name}\n`);
    await run();
  };

  let from = 0;
  let to = 0;
  await phase('undisturbed', async () => {
    from = Date.now();
    await sleep(seconds * 1_000);
    to = Date.now();
  });
  if (!values.alone) {
    await phase('redis_killed_and_back', async () => {
      await redis.kill();
      await sleep(20_000);
      await redis.restart();
      await sleep(15_000);
    });
    await phase('provider_killed_and_back', async () => {
      provider.child.kill('SIGKILL');
      await provider.exited;
      await sleep(3_000);
      provider = await startProvider(issuerPort);
      await sleep(20_000);
    });
    await phase('redis_100_ms_away', async () => {
      const near = await way.add({ type: 'latency', latency: 100 });
      await sleep(25_000);
      await near();
      await sleep(5_000);
    });
  }
  for (const member of members) member.child.stdin!.write('end\n');
  const told = await Promise.all(
    members.map(async (member) => {
      const [, json] = await member.waitForOutput(/^counts (.*)$/m, 30_000);
      return JSON.parse(json!) as Record<string, PhaseCounts>;
    }),
  );

  const measured = calls.filter(({ at }) => at >= from && at < to);
  const lifetimes = (to - from) / 1_000 / LIFETIME_SECONDS;
  print('fleet_apps', Number(values.apps) * members.length, 'apps');
  print(
    'token_calls_per_audience_and_lifetime',
    measured.length / AUDIENCES.length / lifetimes,
    'calls',
    '2.1 or less',
  );
  print('token_calls_doubled', doubled(measured), 'calls', '0');
  print('token_calls_peak_per_s', peak(measured), 'calls/s');
  let lost = 0;
  for (const name of Object.keys(told[0]!).filter((known) => known !== 'start')) {
    const all = told.map((counts) => counts[name]!).filter(Boolean);
    const here = all.reduce((sum, count) => sum + count.lost, 0);
    lost += here;
    print(
      `requests_${name}`,
      all.reduce((sum, count) => sum + count.sent, 0),
      'requests',
    );
    print(`requests_lost_${name}`, here, 'requests', '0');
    for (const { reasons } of all) {
      for (const [reason, count] of Object.entries(reasons))
        process.stderr.write(`lost: ${name}: ${reason}: ${count}\n`);
    }
  }
  print('requests_lost', lost, 'requests', '0');
} finally {
  for (const stop of stops.reverse()) await stop();
  rmSync(folder, { recursive: true, force: true });
}

/** Second calls for one audience within a second. */
function doubled(all: readonly { audience: string; at: number }[]): number {
  const last = new Map<string, number>();
  let count = 0;
  for (const { audience, at } of [...all].sort((a, b) => a.at - b.at)) {
    if (at - (last.get(audience) ?? Number.NEGATIVE_INFINITY) < 1_000) count++;
    last.set(audience, at);
  }
  return count;
}

function peak(all: readonly { at: number }[]): number {
  const seconds = new Map<number, number>();
  for (const { at } of all) {
    const second = Math.floor(at / 1_000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...seconds.values());
}
