// One fault of the identity provider under steady traffic through every door, and what is wanted of it: nothing lost while
// a credential lives, no expired one sent, recovery within a second, and few calls meanwhile.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWorld, type GatedEnvoy, type World } from '../../demo/world.ts';
import type { ServingDoor } from '../../src/doors/generate/best-door.ts';
import type { EnvoyVersion } from './envoy.ts';
import { type ScriptedProvider, startScriptedProvider } from './scripted-provider.ts';
import { type FaultyWay, startToxiproxy, type Toxiproxy } from './toxiproxy.ts';
import { type Sent, startTraffic } from './traffic.ts';

export const DOORS: readonly ServingDoor[] = ['check', 'push', 'attempt'];

/** Requests a second over all doors. */
const RATE = 60;
/** A call that is under way when the fault begins may still bring its token, and a request takes a moment. */
const MARGIN_MS = 150;
/** From a new token at the provider to Envoy: judged by itself, as recovery. */
const RECOVERY_MS = 1_000;

export interface OutageWorld {
  readonly world: World;
  readonly provider: ScriptedProvider;
  /** Between bearerd and the provider. */
  readonly network: FaultyWay | undefined;
  readonly doors: ReadonlyMap<string, GatedEnvoy>;
  stop(): Promise<void>;
}

export interface OutageWorldOptions {
  readonly lifetimeSeconds: number;
  readonly doors?: readonly ServingDoor[];
  readonly version?: EnvoyVersion;
  readonly toxiproxy?: boolean;
  readonly settings?: string;
  /** The provider's name. Default localhost. */
  readonly host?: string;
  /** Of bearerd. */
  readonly env?: Readonly<Record<string, string>>;
}

export async function startOutageWorld(options: OutageWorldOptions): Promise<OutageWorld> {
  let network: FaultyWay | undefined;
  const toxiproxy: Toxiproxy | undefined = options.toxiproxy ? await startToxiproxy() : undefined;
  const world = await createWorld({
    lifetimeSeconds: options.lifetimeSeconds,
    settings: options.settings ?? '',
    ...(options.version === undefined ? {} : { version: options.version }),
    ...(options.env === undefined ? {} : { env: options.env }),
    provider: (given, authority) =>
      startScriptedProvider(given, authority, {
        ...(options.host === undefined ? {} : { host: options.host }),
        async way(port) {
          network = await toxiproxy?.proxy('provider', port);
          return network?.port ?? port;
        },
      }),
  });
  await world.startBearerd();
  await world.ready();
  const doors = new Map<string, GatedEnvoy>();
  for (const door of options.doors ?? DOORS) doors.set(door, await world.startEnvoy(door));
  return {
    world,
    provider: world.provider as ScriptedProvider,
    network,
    doors,
    async stop() {
      await world.stop();
      await toxiproxy?.stop();
    },
  };
}

export interface OutageFault {
  readonly begin: () => unknown;
  readonly end: () => unknown;
  readonly holdMs: number;
  /** What the provider gives meanwhile does not arrive. */
  readonly inNetwork?: boolean;
  /** What the provider told last, ms: recovery is counted from its end. */
  readonly retryAfterMs?: number;
}

export interface Outcome {
  readonly sent: readonly Sent[];
  readonly lost: readonly Sent[];
  readonly denied: readonly Sent[];
  /** Per door, from the cause's end to the first 200; undefined where nothing was denied. */
  readonly recoveryMs: number | undefined;
  /** While the fault lasted. */
  readonly tokenCalls: number;
  readonly callLimit: number;
  readonly expired: number;
}

/** Runs the fault with a fresh credential at its begin, asserts what is always wanted, and tells the figures. */
export async function underFault(
  t: TestContext,
  { world, provider, doors }: OutageWorld,
  fault: OutageFault,
): Promise<Outcome> {
  await freshCredential(provider);
  const expiredBefore = world.upstream.expired;
  const traffic = startTraffic(doors, RATE);
  await sleep(200);
  const callsBefore = await sentCalls(world);
  const begun = Date.now();
  await fault.begin();
  await sleep(fault.holdMs);
  const lastCall = provider.calls.at(-1) ?? 0;
  if (fault.inNetwork) provider.lostSince(begun);
  await fault.end();
  const ended = Date.now();
  const tokenCalls = (await sentCalls(world)) - callsBefore;
  const causeEnd = Math.max(ended, fault.retryAfterMs === undefined ? 0 : lastCall + fault.retryAfterMs);
  await recovered(doors, traffic.sent, causeEnd);
  await sleep(300);
  const sent = await traffic.stop();

  const lived = (at: number) => livedAt(provider, at);
  const lost = sent.filter(({ at, status }) => status !== 200 && lived(at));
  const denied = sent.filter(({ status, at }) => status !== 200 && !lived(at));
  const without = Math.max(0, ended - Math.max(begun, usableUntil(provider, begun)));
  const callLimit = 8 + Math.ceil(without / 500);
  const recoveryMs =
    denied.length === 0
      ? undefined
      : Math.max(...[...doors.keys()].map((door) => firstServed(sent, door, causeEnd) - causeEnd));
  const outcome: Outcome = {
    sent,
    lost,
    denied,
    recoveryMs,
    tokenCalls,
    callLimit,
    expired: world.upstream.expired - expiredBefore,
  };
  // Nobody waits for a provider while there is a credential: that wait would be max_wait, 3 s.
  const slowestMs = Math.max(0, ...sent.filter(({ at }) => lived(at)).map(({ ms }) => ms));
  t.diagnostic(
    `${sent.length} requests, the slowest ${slowestMs.toFixed(0)} ms while a credential lived (at most 2000), ${lost.length} lost, ${denied.length} denied, ${tokenCalls} token calls (at most ${callLimit})` +
      (recoveryMs === undefined ? '' : `, recovered in ${recoveryMs.toFixed(0)} ms (at most 1000)`),
  );
  assert.deepEqual(lost.slice(0, 3), [], 'nothing is lost while a credential lives');
  assert.ok(slowestMs <= 2_000, `${slowestMs} ms`);
  assert.equal(outcome.expired, 0, 'no expired credential is sent');
  assert.ok(tokenCalls <= callLimit, `${tokenCalls} token calls`);
  for (const { door, status, told, ms, retryAfter } of denied) {
    assert.equal(status, 503, told);
    assert.ok(Number(retryAfter) >= 1, `${door} after ${ms} ms, Retry-After: ${retryAfter}, ${told}`);
    // Through push Envoy answers by itself.
    assert.match(told, /"reason":"[a-z_]+"|"error":"no_credential"/);
  }
  if (recoveryMs !== undefined) assert.ok(recoveryMs <= RECOVERY_MS, `recovered in ${recoveryMs} ms`);
  return outcome;
}

/** Resolves when a new credential has just come, so that its whole life lies ahead. */
export async function freshCredential(provider: ScriptedProvider): Promise<void> {
  const before = provider.issued.length;
  while (provider.issued.length === before) await sleep(10);
  await sleep(MARGIN_MS);
}

/** By the store's own rule: 5 % or 10 s before the end. */
export function usableUntil(provider: ScriptedProvider, before: number): number {
  const ends = provider.issued
    .filter(({ at }) => at <= before)
    .map(({ at, lifetimeMs }) => at + lifetimeMs - Math.min(10_000, lifetimeMs * 0.05));
  return Math.max(0, ...ends);
}

/** Whether a credential certainly lived: with time for its way to Envoy and for the request's way there. */
export function livedAt(provider: ScriptedProvider, at: number): boolean {
  return usableUntil(provider, at - RECOVERY_MS) > at + MARGIN_MS;
}

export function firstServed(sent: readonly Sent[], door: string, from: number): number {
  const served = sent.filter((one) => one.door === door && one.status === 200 && one.at + one.ms >= from);
  return Math.min(...served.map(({ at, ms }) => at + ms));
}

async function recovered(
  doors: ReadonlyMap<string, unknown>,
  sent: readonly Sent[],
  from: number,
): Promise<void> {
  const deadline = Date.now() + 6_000;
  const isServed = (door: string) => Number.isFinite(firstServed(sent, door, from));
  while (Date.now() < deadline && ![...doors.keys()].every(isServed)) await sleep(20);
}

/** Calls that bearerd sent so far, whether or not they arrived. */
export async function sentCalls(world: World): Promise<number> {
  const lines = (await world.metrics()).matchAll(/^bearerd_endpoint_calls_total\{[^}]*\} (\d+)$/gm);
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0);
}
