// Everything at once, for long: requests through all doors of real Envoys, a real provider, a real Redis, TLS between Envoy
// and bearerd, and one fault after the other at random. What each door may show of it is judged request by request.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, type GatedEnvoy, ORDERS, type World } from '../../demo/world.ts';
import { newKey } from './fleet.ts';
import { freePort } from './ports.ts';
import type { StartedProcess } from './process.ts';
import { type StartedRedis, startRedis } from './redis.ts';
import { type Sent, startTraffic } from './traffic.ts';

export interface SoakOptions {
  readonly seconds: number;
  /** Over all doors. */
  readonly perSecond: number;
  /** Printed; the same seed gives the same order of faults. */
  readonly seed: number;
}

/** Lives long enough that a provider which is away for MAX_OUTAGE_MS is not noticed. */
const LIFETIME_SECONDS = 60;
const MAX_OUTAGE_MS = 8_000;
const MAX_STOP_MS = 3_000;
/** After a stop ends, and after a revocation, a request may still show it for so long. */
const AFTER_MS = 1_000;
const ENVOY = 'spiffe://cluster.local/ns/prod/sa/checkout';

/** Epoch ms. */
interface Interval {
  readonly from: number;
  to: number;
}

interface Parts {
  readonly world: World;
  readonly bearerd: StartedProcess;
  readonly redis: StartedRedis;
  readonly doors: ReadonlyMap<string, GatedEnvoy>;
  readonly stops: Interval[];
  readonly revocations: number[];
}

type Fault = (parts: Parts, random: () => number) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  async 'provider away'({ world }, random) {
    await world.provider.stop();
    await sleep(1_000 + random() * (MAX_OUTAGE_MS - 1_000));
    await world.provider.start();
  },
  async 'provider slow'({ world }, random) {
    world.provider.delayMs = 500 + random() * 1_500;
    await sleep(4_000);
    world.provider.delayMs = 0;
  },
  async 'Redis killed'({ redis }, random) {
    await redis.kill();
    await sleep(500 + random() * 4_000);
    await redis.restart();
  },
  async 'Redis emptied'({ redis }) {
    await redis.call('FLUSHALL');
  },
  async reload({ world }, random) {
    const text = readFileSync(world.configFile, 'utf8').replace(/^max_wait: .*\n/m, '');
    writeFileSync(world.configFile, `${text}max_wait: ${1_000 + Math.floor(random() * 1_000)}ms\n`);
  },
  async 'broken reload'({ world }) {
    const text = readFileSync(world.configFile, 'utf8');
    writeFileSync(world.configFile, `${text}unknown_key: 1\n`);
    await sleep(1_500);
    writeFileSync(world.configFile, text);
  },
  async 'certificates rotated'({ world }) {
    await world.authority.issue('bearerd', 'server');
    await world.authority.issue('envoy', 'client', { uris: [ENVOY] });
  },
  async 'bearerd stands still'({ bearerd, stops }, random) {
    const stop: Interval = { from: Date.now(), to: Number.POSITIVE_INFINITY };
    stops.push(stop);
    process.kill(bearerd.pid, 'SIGSTOP');
    await sleep(200 + random() * (MAX_STOP_MS - 200));
    process.kill(bearerd.pid, 'SIGCONT');
    stop.to = Date.now();
  },
  async 'clients leave'({ doors }) {
    await Promise.all(
      [...doors.values()].flatMap(({ url }) => Array.from({ length: 30 }, (_, i) => abandoned(url, i % 5))),
    );
  },
  async 'token revoked'({ world, revocations }) {
    revocations.push(Date.now());
    world.upstream.revoke();
  },
};

export async function soak(t: TestContext, { seconds, perSecond, seed }: SoakOptions): Promise<void> {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const port = await freePort();
  const world = await createWorld({
    lifetimeSeconds: LIFETIME_SECONDS,
    check: `{ address: "127.0.0.1:${port}", tls: { certificate: FOLDER/bearerd.pem, private_key: FOLDER/bearerd.key, client_ca: FOLDER/demo-authority.pem, allowed_uris: ["${ENVOY}"] } }`,
    checkUpstream: async (authority) => {
      await authority.issue('bearerd', 'server');
      const own = await authority.issue('envoy', 'client', { uris: [ENVOY] });
      return { address: '127.0.0.1', port, tls: { ca: authority.ca, ...own, sni: 'bearerd' } };
    },
    settings: `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: soak, keys: [{ inline: "${newKey()}" }] }`,
  });
  t.after(() => world.stop());
  const bearerd = await world.startBearerd();
  await world.ready();
  const doors = new Map<string, GatedEnvoy>();
  for (const door of ['check', 'push', 'attempt'] as const) doors.set(door, await world.startEnvoy(door));
  const parts: Parts = { world, bearerd, redis, doors, stops: [], revocations: [] };

  // From the first scrape on the delay of the event loop is measured.
  await world.metrics();
  const traffic = startTraffic(doors, perSecond);
  const memory: number[] = [];
  const measuring = setInterval(() => memory.push(rssOf(bearerd.pid)), 1_000);
  const done = new Map<string, number>();
  try {
    const end = Date.now() + seconds * 1_000;
    for (const name of shuffledForever(Object.keys(FAULTS), seed)) {
      if (Date.now() >= end) break;
      await FAULTS[name]!(parts, randomOf(seed + done.size + (done.get(name) ?? 0)));
      done.set(name, (done.get(name) ?? 0) + 1);
      await sleep(AFTER_MS + 500);
    }
  } finally {
    clearInterval(measuring);
  }
  const sent = await traffic.stop();

  const lag = /^bearerd_event_loop_delay_seconds (\S+)/m.exec(await world.metrics())?.[1];
  const early = median(memory.slice(Math.floor(memory.length / 10), Math.floor(memory.length / 3)));
  const late = median(memory.slice(-Math.floor(memory.length / 4)));
  t.diagnostic(`seed ${seed}: ${[...done].map(([name, count]) => `${name} ${count}`).join(', ')}`);
  t.diagnostic(
    `${sent.length} requests; not 200: ${JSON.stringify(tally(sent))}; tokens ${world.provider.tokenCalls}`,
  );
  t.diagnostic(
    `RSS ${early.toFixed(0)} MB early, ${late.toFixed(0)} MB late, ${((late - early) / (seconds / 3_600)).toFixed(0)} MB/h; event loop late by ${(Number(lag) * 1_000).toFixed(1)} ms at p99`,
  );
  const wrong = sent.filter((one) => one.status !== 200 && !isAllowed(one, parts));
  assert.deepEqual(wrong.slice(0, 10), [], `${wrong.length} requests were lost`);
  assert.equal(world.upstream.expired, 0, 'an expired token was sent');
  assert.equal(world.upstream.doubled, 0, 'a doubled header was sent');
  assert.ok(sent.length > seconds * perSecond * 0.8, `only ${sent.length} requests were sent`);
  for (const name of Object.keys(FAULTS)) assert.ok(done.has(name), `${name} never happened`);
  assert.ok(late - early < 40, `RSS went from ${early} to ${late} MB`);
}

/**
 * Push shows nothing. Check and attempt: 503 of a request that was in flight in a stop, or began before it had ended plus a
 * second. Check cannot send the same request again: 401 until the revoked token was renewed.
 */
function isAllowed({ door, at, ms, status }: Sent, { stops, revocations }: Parts): boolean {
  if (door === 'push') return false;
  if (status === 503) return stops.some(({ from, to }) => at + ms >= from && at <= to + AFTER_MS);
  return (
    door === 'check' && status === 401 && revocations.some((when) => at + ms >= when && at <= when + AFTER_MS)
  );
}

/** Every fault once in some order, then again in another. */
function* shuffledForever(names: readonly string[], seed: number): Generator<string> {
  for (let round = 0; ; round++) {
    const random = randomOf(seed * 1_000 + round);
    yield* names
      .map((name) => [random(), name] as const)
      .sort(([a], [b]) => a - b)
      .map(([, name]) => name);
  }
}

/** mulberry32: small, and the same everywhere. */
function randomOf(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A client that is gone after `ms`. */
function abandoned(url: string, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const leaving = request(`${url}/v1/orders`, { headers: { host: ORDERS } }, (answer) => answer.resume());
    leaving.on('error', () => {});
    leaving.on('close', resolve);
    leaving.end();
    setTimeout(() => leaving.destroy(), ms);
  });
}

function rssOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}

function tally(sent: readonly Sent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { door, status, told } of sent) {
    if (status === 200) continue;
    const key = `${door} ${status} ${told.slice(0, 60)}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
