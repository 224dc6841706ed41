// Keeps the keys of one issuer current. The last good set stays for a day when the issuer is away; an unknown key id asks
// again at most once in 30 s, whoever sends it, so that callers cannot make this process a flood.
import { fullJitterMs } from '../lib/backoff.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { currentSpan, type Tracer, within } from '../lib/trace.ts';
import type { Observer } from '../telemetry/observer.ts';
import { KeySet, type VerificationKey } from './key-set.ts';

const REFRESH_MS = 600_000;
const ASK_AGAIN_MS = 30_000;
const LAST_GOOD_MS = 24 * 3_600_000;
const CALL_MS = 5_000;
const FIRST_BACKOFF = { baseMs: 500, maxMs: 10_000 };
const LATER_BACKOFF = { baseMs: 5_000, maxMs: 60_000 };
/** Key ids that were asked for in vain. */
const UNKNOWN_MS = 60_000;
const MAX_UNKNOWN = 1_000;

export interface IssuerKeys {
  start(): void;
  stop(): void;
  candidates(kid: string | undefined, alg: string): VerificationKey[];
  /** Keys of this id, whatever their algorithm. */
  named(kid: string): VerificationKey[];
  /** Whether there is a set at all. */
  readonly known: boolean;
  /** Resolves when a fetch that is under way, or may begin now, has ended; undefined = asking is not due. */
  askAgain(kid: string | undefined): Promise<void> | undefined;
}

export interface IssuerKeysDeps {
  readonly issuer: string;
  /** A JWK Set as it came. Rejects with a message that quotes nothing of it. */
  readonly load: (signal: AbortSignal) => Promise<unknown>;
  /** Lets go of what `load` holds open. */
  readonly close?: () => void;
  /** For a file, which tells of changes by itself; returns the way to stop. */
  readonly watch?: (changed: () => void) => () => void;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly random: () => number;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

export function createIssuerKeys(deps: IssuerKeysDeps): IssuerKeys {
  const { issuer, load, close, watch, clock, observer, random, tracer } = deps;
  const set = new KeySet();
  const unknown = new Map<string, number>();
  let inFlight: Promise<void> | undefined;
  let lastAskedAt = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let timer: Timer | undefined;
  let lastGood: Timer | undefined;
  let stopWatching = (): void => {};
  let stopped = false;

  function refresh(): Promise<void> {
    inFlight ??= fetchSet().finally(() => {
      inFlight = undefined;
    });
    return inFlight;
  }

  async function fetchSet(): Promise<void> {
    lastAskedAt = clock.monotonic();
    timer?.cancel();
    const controller = new AbortController();
    const deadline = clock.setTimer(() => controller.abort(), CALL_MS);
    // Of the request that an unknown key id came with, or a trace of its own.
    const attributes = { 'bearerd.issuer': issuer };
    const span =
      currentSpan()?.child('bearerd.keys', 'internal', attributes) ??
      tracer?.start('bearerd.keys', attributes);
    let problem: string | undefined;
    try {
      problem = set.replace(await within(span, () => load(controller.signal)));
    } catch (error) {
      problem = (error as Error).message;
    } finally {
      deadline.cancel();
      span?.end(problem === undefined ? undefined : 'keys_unavailable');
    }
    if (stopped) return;
    if (problem === undefined) {
      failures = 0;
      unknown.clear();
      lastGood?.cancel();
      lastGood = clock.setTimer(() => {
        set.clear();
        observer.inputRefused(`keys of ${issuer}`, 'no usable set for a day: the last one counts no more');
      }, LAST_GOOD_MS);
      observer.inputLoaded(`keys of ${issuer}`, set.size);
    } else {
      failures++;
      observer.inputRefused(`keys of ${issuer}`, problem);
    }
    if (watch !== undefined && problem === undefined) return;
    const backoff = set.size === 0 ? FIRST_BACKOFF : LATER_BACKOFF;
    const waitMs =
      failures === 0 ? REFRESH_MS * (0.9 + 0.2 * random()) : fullJitterMs(failures - 1, backoff, random);
    timer = clock.setTimer(() => void refresh(), waitMs);
  }

  return {
    start() {
      void refresh();
      if (watch !== undefined) stopWatching = watch(() => void refresh());
    },
    stop() {
      stopped = true;
      timer?.cancel();
      lastGood?.cancel();
      stopWatching();
      close?.();
    },
    candidates: (kid, alg) => set.candidates(kid, alg),
    named: (kid) => set.named(kid),
    get known() {
      return set.size > 0;
    },
    askAgain(kid) {
      if (inFlight !== undefined) return inFlight;
      const now = clock.monotonic();
      if (now - lastAskedAt < ASK_AGAIN_MS) return undefined;
      if (kid !== undefined) {
        const askedAt = unknown.get(kid);
        if (askedAt !== undefined && now - askedAt < UNKNOWN_MS) return undefined;
        if (unknown.size >= MAX_UNKNOWN) unknown.clear();
      }
      const asked = refresh();
      // After the fetch: a good set forgets what was unknown before it, and this one was not in it.
      return asked.then(() => {
        if (kid !== undefined) unknown.set(kid, clock.monotonic());
      });
    },
  };
}
