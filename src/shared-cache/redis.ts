// Redis as somebody who may be away, slow or wrong: every call has a budget, a breaker spares us a dead one, and what does
// not come in time is undefined. Nothing here ever throws: without Redis each process is on its own.
import type { RedisConfig } from '../config/config.ts';
import { fullJitterMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createFaultReasons, replyCode } from './fault-reason.ts';
import { type Answer, createHealth } from './health.ts';
import { connectRedis, type RedisClient } from './redis-client.ts';

/** Somebody waits: a provider is asked instead. */
export const COLD_MS = 10;
/** In the background a Redis in another cloud, 100 ms away, serves as well. */
export const BACKGROUND_MS = 1_000;
/** In the background, for a connection that is being made. */
const CONNECTING_MS = 2_000;
/** One lost call is no outage. */
const FAILURES_TO_OPEN = 3;
const TOGETHER_MS = 500;
const PAUSE = { baseMs: 500, maxMs: 5_000 };

export interface Redis {
  /** The script's answer; undefined = none within `budgetMs`, whatever the reason. */
  run(script: string, keys: readonly string[], args: readonly string[], budgetMs: number): Promise<unknown>;
  close(): void;
}

export interface RedisDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  readonly random: () => number;
  readonly tenant: string;
  /** A message may have come on the channel, or have been missed while there was no connection. */
  readonly woken: () => void;
}

/** Of a tenant: whoever adds to its stream of invalidations wakes the others here. */
export const wakeChannel = (tenant: string): string => `bearerd:${tenant}:wake`;

export function createRedis(config: RedisConfig, deps: RedisDeps): Redis {
  const { clock, observer, random, tenant } = deps;
  const reasons = createFaultReasons(config, tenant);
  const health = createHealth({
    ...{ tenant, reasons, clock, observer },
    run: (script, keys, args) => ask(script, keys, args, BACKGROUND_MS),
  });
  /** Of the last attempt to connect, until one succeeds. */
  let trouble: unknown;
  let client: RedisClient | undefined;
  let connecting: Promise<void> | undefined;
  let closed = false;
  let attempts = 0;
  let failures = 0;
  let failedAt = Number.NEGATIVE_INFINITY;
  let openUntil = Number.NEGATIVE_INFINITY;
  let pauses = 0;

  function connect(): Promise<void> {
    // A retry that was planned may come when another attempt has succeeded: a second client would never be ended.
    if (closed || client !== undefined) return Promise.resolve();
    if (connecting !== undefined) return connecting;
    // Sentinels that are away are tried for 16 s.
    const late = clock.setTimer(() => health.down(reasonOfTrouble()), CONNECTING_MS);
    connecting = connectRedis(config, { ...deps, channel: wakeChannel(tenant), troubled }).then(
      (connected) => {
        late.cancel();
        connecting = undefined;
        attempts = 0;
        trouble = undefined;
        if (closed) return connected.destroy();
        client = connected;
        deps.woken();
        health.doubt();
      },
      (error: unknown) => {
        late.cancel();
        connecting = undefined;
        if (replyCode(error) !== undefined) observer.sharedCacheFailed('refused');
        if (closed) return;
        // Of nodes in the plural the last word is only that there is none.
        health.down(reasons.of(config.kind === 'single' ? error : (trouble ?? error)));
        clock.setTimer(() => void connect(), 100 + fullJitterMs(attempts++, PAUSE, random));
      },
    );
    return connecting;
  }

  const reasonOfTrouble = () => (trouble === undefined ? reasons.silent : reasons.of(trouble));

  /** Where it does not mend itself at once the check finds it so, and what is told then is this. */
  function troubled(error: unknown): void {
    trouble = error;
    if (client !== undefined) health.doubt();
  }

  function failed(reason: 'timeout' | 'connection' | 'read_only', error?: unknown): void {
    observer.sharedCacheFailed(reason);
    // Many calls that stood still together failed once.
    if (clock.monotonic() - failedAt < TOGETHER_MS && reason !== 'read_only') return;
    failedAt = clock.monotonic();
    failures++;
    if (failures < FAILURES_TO_OPEN && reason !== 'read_only') return;
    openUntil = clock.monotonic() + PAUSE.baseMs / 2 + fullJitterMs(pauses++, PAUSE, random);
    if (replyCode(error) === 'READONLY') health.restricted(reasons.of(error));
    else if (error !== undefined) health.down(reasons.of(error));
    else health.down(reason === 'connection' ? reasonOfTrouble() : reasons.silent);
    // Silent or a replica by now: another connection may lead elsewhere.
    client?.destroy();
    client = undefined;
    void connect();
  }

  function succeeded(): void {
    // What was announced meanwhile was not heard.
    if (failures > 0) deps.woken();
    failures = 0;
    pauses = 0;
    health.answered();
  }

  async function ask(
    script: string,
    keys: readonly string[],
    args: readonly string[],
    budgetMs: number,
  ): Promise<Answer> {
    if (closed || clock.monotonic() < openUntil) return undefined;
    const isCold = budgetMs < BACKGROUND_MS;
    const timedOut = Symbol();
    let timer: { cancel(): void } | undefined;
    const within = (ms: number) =>
      new Promise<typeof timedOut>((resolve) => {
        // One more turn: of a process that stood still, what came meanwhile is read before time is up.
        timer = clock.setTimer(() => setImmediate(() => resolve(timedOut)), ms);
      });
    try {
      // The first connection is worth waiting for: the whole fleet may be starting.
      if (client === undefined && !isCold) {
        await Promise.race([connecting, within(CONNECTING_MS)]);
        timer?.cancel();
      }
      if (client === undefined) {
        if (!isCold) failed('connection');
        return undefined;
      }
      const reply = await Promise.race([client.eval(script, keys, args), within(budgetMs)]);
      if (reply === timedOut) {
        // Ten milliseconds say nothing of a Redis that is 100 ms away.
        if (isCold) observer.sharedCacheFailed('timeout');
        else failed('timeout');
        return undefined;
      }
      succeeded();
      return { reply };
    } catch (error) {
      const code = replyCode(error);
      // A replica; MASTERDOWN: and without its master.
      if (code === 'READONLY' || code === 'MASTERDOWN') failed('read_only', error);
      else if (code === undefined) failed('connection');
      else return { refused: error };
      return undefined;
    } finally {
      timer?.cancel();
    }
  }

  void connect();

  return {
    async run(script, keys, args, budgetMs) {
      const answer = await ask(script, keys, args, budgetMs);
      if (answer === undefined) return undefined;
      if ('reply' in answer) return answer.reply;
      observer.sharedCacheFailed('refused');
      health.doubt(keys[0]);
      return undefined;
    },
    close() {
      closed = true;
      health.close();
      client?.destroy();
      client = undefined;
    },
  };
}
