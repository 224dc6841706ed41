// What can go wrong in a soak, each fault with its end, and in which order they come.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import type { CertificateFiles } from '../../demo/certificates.ts';
import { type GatedEnvoy, ORDERS, type World } from '../../demo/world.ts';
import type { StartedProcess } from './process.ts';
import type { StartedRedis } from './redis.ts';

/** Envoy's name in its certificate. */
export const ENVOY = 'spiffe://cluster.local/ns/prod/sa/checkout';
/** Shorter than the life that a credential has left at least. */
const MAX_OUTAGE_MS = 8_000;
const MAX_STOP_MS = 3_000;

/** Epoch ms. */
export interface Interval {
  readonly from: number;
  to: number;
}

export interface Parts {
  readonly world: World;
  readonly bearerd: StartedProcess;
  readonly redis: StartedRedis;
  readonly doors: ReadonlyMap<string, Pick<GatedEnvoy, 'url'>>;
  readonly checkPort: number;
  readonly stops: Interval[];
  readonly revocations: number[];
}

type Fault = (parts: Parts, random: () => number) => Promise<void>;

export const FAULTS: Readonly<Record<string, Fault>> = {
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
  async 'certificates rotated'({ world, checkPort }) {
    const { cert } = await world.authority.issue('bearerd', 'server');
    const own = await world.authority.issue('envoy', 'client', { uris: [ENVOY] });
    // Envoy's connections live on; whoever comes now has to see the new one.
    const wanted = new X509Certificate(readFileSync(cert)).fingerprint256;
    for (
      const end = Date.now() + 30_000;
      (await servedCertificate(checkPort, own)) !== wanted;
      await sleep(100)
    )
      assert.ok(Date.now() < end, 'the new certificate is not served after 30 s');
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

/** Every fault once in some order, then again in another. */
export function* shuffledForever(names: readonly string[], seed: number): Generator<string> {
  for (let round = 0; ; round++) {
    const random = randomOf(seed * 1_000 + round);
    yield* names
      .map((name) => [random(), name] as const)
      .sort(([a], [b]) => a - b)
      .map(([, name]) => name);
  }
}

/** mulberry32: small, and the same everywhere. */
export function randomOf(seed: number): () => number {
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

/** SHA-256 of what a new connection is shown; undefined where it is not let in. */
function servedCertificate(port: number, { cert, key }: CertificateFiles): Promise<string | undefined> {
  return new Promise((resolve) => {
    const own = { cert: readFileSync(cert), key: readFileSync(key) };
    const socket = connect({
      port,
      host: '127.0.0.1',
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
      ...own,
    });
    const end = (seen: string | undefined): void => {
      socket.destroy();
      resolve(seen);
    };
    socket.once('secureConnect', () => end(socket.getPeerX509Certificate()?.fingerprint256));
    socket.once('error', () => end(undefined));
    socket.setTimeout(2_000, () => end(undefined));
  });
}
