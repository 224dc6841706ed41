// A fleet in front of one provider and one Redis, and what it did. Parts are real: oidc-provider and Valkey as processes of
// their own, toxiproxy between.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../test/support/ports.ts';
import { type StartedProcess, startProcess } from '../../test/support/process.ts';
import { startRedis } from '../../test/support/redis.ts';
import { startToxiproxy } from '../../test/support/toxiproxy.ts';
import { AUDIENCES, type FleetPlaces } from './configuration.ts';
import type { PhaseCounts } from './member.ts';

const CHECKS_PER_SECOND = 5;

export interface FleetOptions {
  readonly processes: number;
  readonly appsPerProcess: number;
  /** Of a token. */
  readonly lifetimeSeconds: number;
  /** Undisturbed. */
  readonly seconds: number;
  /** Then Redis killed and back, the provider killed and back, and 100 ms of latency to Redis. */
  readonly disturbed: boolean;
  /** For comparison: each app without a shared cache. */
  readonly alone: boolean;
}

export interface FleetFigures {
  /** Of the undisturbed time. */
  readonly callsPerAudienceAndLifetime: number;
  /** Second ones for one audience within a second. */
  readonly callsDoubled: number;
  readonly callsPeakPerSecond: number;
  readonly phases: readonly FleetPhase[];
}

export interface FleetPhase extends PhaseCounts {
  readonly name: string;
}

interface Call {
  readonly audience: string;
  /** Epoch ms. */
  readonly at: number;
}

export async function runFleet(options: FleetOptions): Promise<FleetFigures> {
  const { processes, appsPerProcess, lifetimeSeconds, seconds, disturbed, alone } = options;
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-fleet-'));
  const stops: (() => Promise<unknown>)[] = [];
  const calls: Call[] = [];

  async function startProvider(port: number): Promise<StartedProcess> {
    const provider = await startProcess(
      process.execPath,
      [join(import.meta.dirname, 'provider.ts'), String(port), String(lifetimeSeconds)],
      { name: 'provider' },
    );
    stops.push(() => provider.stop());
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
    const provider = await startProvider(issuerPort);
    const places: FleetPlaces = {
      issuerPort,
      redisPort: alone ? undefined : way.port,
      key: randomBytes(32).toString('base64'),
    };
    const members = await Promise.all(
      Array.from({ length: processes }, async (_, i) => {
        const args = [
          join(import.meta.dirname, 'member.ts'),
          ...[folder, String(appsPerProcess), String(CHECKS_PER_SECOND)],
        ];
        const env = { ...process.env, FLEET: JSON.stringify(places) };
        const member = await startProcess(process.execPath, args, { name: `member ${i}`, stdin: true, env });
        stops.push(() => member.stop());
        return member;
      }),
    );
    await Promise.all(members.map((member) => member.waitForOutput(/^ready/m, 120_000)));

    const phase = async (name: string, run: () => Promise<unknown>) => {
      for (const member of members) member.child.stdin!.write(`${name}\n`);
      await run();
    };
    const from = Date.now();
    await phase('undisturbed', () => sleep(seconds * 1_000));
    const to = Date.now();
    if (disturbed) {
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
        await startProvider(issuerPort);
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
    const lifetimes = (to - from) / 1_000 / lifetimeSeconds;
    return {
      callsPerAudienceAndLifetime: measured.length / AUDIENCES.length / lifetimes,
      callsDoubled: doubled(measured),
      callsPeakPerSecond: peak(measured),
      phases: Object.keys(told[0]!)
        .filter((name) => name !== 'start')
        .map((name) => ({ name, ...sum(told.flatMap((counts) => counts[name] ?? [])) })),
    };
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function sum(all: readonly PhaseCounts[]): PhaseCounts {
  const whole: PhaseCounts = { sent: 0, lost: 0, reasons: {} };
  for (const { sent, lost, reasons } of all) {
    whole.sent += sent;
    whole.lost += lost;
    for (const [reason, count] of Object.entries(reasons)) {
      whole.reasons[reason] = (whole.reasons[reason] ?? 0) + count;
    }
  }
  return whole;
}

function doubled(all: readonly Call[]): number {
  const last = new Map<string, number>();
  let count = 0;
  for (const { audience, at } of [...all].sort((a, b) => a.at - b.at)) {
    if (at - (last.get(audience) ?? Number.NEGATIVE_INFINITY) < 1_000) count++;
    last.set(audience, at);
  }
  return count;
}

function peak(all: readonly Call[]): number {
  const seconds = new Map<number, number>();
  for (const { at } of all) {
    const second = Math.floor(at / 1_000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...seconds.values());
}
