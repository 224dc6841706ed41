// Follows the signed bundle of a fleet: asked for with its ETag at a jittered pace, and taken over only when signature,
// name, time and serial say so and the configuration that it makes with the local file has no problem. Whatever else comes,
// the last good one stays in force; with `state_dir` also across restarts, verified again when it is read.
import { readFile, stat } from 'node:fs/promises';
import type { PolicyBundleConfig } from '../config/config.ts';
import { fullJitterMs } from '../lib/backoff.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { writeDurably } from '../lib/durable-file.ts';
import { ConfigError, CredentialError, problemText } from '../lib/errors.ts';
import { toTransportError } from '../provider-http/errors.ts';
import { createProviderHttp } from '../provider-http/http.ts';
import type { Observer } from '../telemetry/observer.ts';
import { keptBundle, verifyPinned } from './pinned-bundle.ts';
import { BundleFault, MAX_BUNDLE_BYTES, timeProblem, type VerifiedBundle } from './signed-bundle.ts';

/** While there is none at all. */
const FIRST_BACKOFF_MS = 1_000;
/** Of a Retry-After: one overloaded cache, or a page about maintenance, must not hold a fleet back for an hour. */
const MAX_WAIT_POLLS = 5;
/** For logs and metrics. */
const INPUT = 'policy bundle';

/** Times as text, ISO 8601. */
export interface PolicyBundleStatus {
  readonly name: string;
  /** Of the one in force. */
  readonly serial: number | undefined;
  readonly issuedAt: string | undefined;
  readonly expiresAt: string | undefined;
  readonly confirmedAt: string | undefined;
  /** Why the last answer was not taken over. */
  readonly refused: string | undefined;
}

export interface PolicyBundle {
  /** What `read` makes of the last good one of `state_dir`; undefined when there is none that may be taken over now. */
  restore<T>(read: (bundle: VerifiedBundle) => Promise<T>): Promise<T | undefined>;
  /** From now on it is asked for. */
  start(): void;
  stop(): Promise<void>;
  /** Asks for it before its time. */
  askNow(): void;
  /** In force; undefined before the first. */
  readonly current: VerifiedBundle | undefined;
  /** Of the admin page. */
  status(): PolicyBundleStatus;
}

export interface PolicyBundleDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  /** [0, 1) */
  readonly random: () => number;
  /** undefined = it does not outlive the process, and neither does the serial. */
  readonly stateDir: string | undefined;
  /** Brings it into force, whole. Rejects with ConfigError, and then nothing has changed. */
  readonly take: (bundle: VerifiedBundle) => Promise<void>;
}

export function createPolicyBundle(config: PolicyBundleConfig, deps: PolicyBundleDeps): PolicyBundle {
  const { clock, env, observer, random, stateDir, take } = deps;
  const { url, name, caFile, pollMs } = config;
  const http = createProviderHttp({ caFile, env, now: () => clock.now() });
  const stateFile = stateDir === undefined ? undefined : keptBundle(stateDir);
  let current: VerifiedBundle | undefined;
  /** The newest that was ever in force here, though its time may be over by now. */
  let newest: VerifiedBundle | undefined;
  let etag: string | undefined;
  let refused: string | undefined;
  /** Epoch ms of the last answer by which what is in force is what the server has. */
  let confirmedAt: number | undefined;
  let failures = 0;
  let timer: Timer | undefined;
  let polling = Promise.resolve();
  let writing = Promise.resolve();
  let stopped = false;
  /** What is under way may have been answered before the change that somebody speaks of. */
  let askAgain = false;

  const refuse = (reason: string): void => {
    if (stopped) return;
    refused = reason;
    observer.inputRefused(INPUT, reason);
  };
  const confirm = (): void => {
    refused = undefined;
    confirmedAt = clock.now();
    observer.inputCurrent(INPUT);
  };

  async function bringIntoForce<T>(
    bundle: VerifiedBundle,
    take: (bundle: VerifiedBundle) => Promise<T>,
  ): Promise<T> {
    const problem = timeProblem(bundle, clock.now());
    if (problem !== undefined) throw new BundleFault(problem);
    const taken = await take(bundle);
    current = bundle;
    newest = bundle;
    observer.inputLoaded(INPUT, Object.keys(bundle.files).length);
    observer.bundleTaken(bundle.serial, bundle.expiresAt);
    return taken;
  }

  async function consider(jws: string): Promise<void> {
    const bundle = await verifyPinned(jws, config);
    if (newest !== undefined) {
      const { serial, digest } = newest;
      if (bundle.serial < serial) throw new BundleFault(`serial ${bundle.serial} is older than ${serial}`);
      if (bundle.serial === serial && bundle.digest !== digest)
        throw new BundleFault(`serial ${serial} a second time, with other content`);
      if (current?.digest === bundle.digest) return;
    }
    await bringIntoForce(bundle, take);
    if (stateFile === undefined) return;
    // Nobody waits for it: a busy disk took 1.8 s to sync (measured), and the next bundle would have waited.
    writing = writing
      .then(() => writeDurably(stateFile, jws))
      .catch((error: NodeJS.ErrnoException) =>
        observer.inputRefused(`${INPUT} in state_dir`, `cannot be written: ${error.code}`),
      );
  }

  /** Milliseconds that the server asked to wait. */
  async function ask(): Promise<number> {
    try {
      const answer = await http.fetch(url, {
        method: 'GET',
        headers: etag === undefined ? {} : { 'if-none-match': etag },
      });
      if (answer.status !== 304 || etag === undefined) {
        if (answer.status !== 200) throw new BundleFault(`the server answered ${answer.status}`);
        await consider(await answer.text());
        // Only of what is in force: whatever was refused is looked at again.
        etag = answer.headers.get('etag') ?? undefined;
      }
      confirm();
      failures = 0;
      return 0;
    } catch (error) {
      failures++;
      const reason = reasonOf(error);
      if (reason !== undefined) {
        refuse(reason);
        return 0;
      }
      const fault = toTransportError(error, 'bundle');
      refuse(fault.message);
      return Math.min(
        fault instanceof CredentialError ? (fault.retryAfterMs ?? 0) : 0,
        MAX_WAIT_POLLS * pollMs,
      );
    }
  }

  async function poll(): Promise<void> {
    timer = undefined;
    let askedToWaitMs: number;
    do {
      askAgain = false;
      askedToWaitMs = await ask();
    } while (askAgain && !stopped);
    if (stopped) return;
    const pauseMs =
      current === undefined
        ? fullJitterMs(failures, { baseMs: FIRST_BACKOFF_MS, maxMs: pollMs }, random)
        : pollMs * (0.8 + 0.4 * random());
    timer = clock.setTimer(
      () => {
        polling = poll();
      },
      Math.max(pauseMs, askedToWaitMs),
    );
  }

  return {
    async restore(read) {
      if (stateFile === undefined) return undefined;
      try {
        const { size } = await stat(stateFile);
        if (size > MAX_BUNDLE_BYTES + 1) throw new BundleFault(`larger than ${MAX_BUNDLE_BYTES} bytes`);
        newest = await verifyPinned(await readFile(stateFile, 'utf8'), config);
        return await bringIntoForce(newest, read);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        const reason = reasonOf(error) ?? (code === undefined ? undefined : `cannot be read: ${code}`);
        if (reason === undefined) throw error;
        if (code !== 'ENOENT') refuse(`${stateFile}: ${reason}`);
        return undefined;
      }
    },
    start() {
      polling = poll();
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await http.close();
      // What took over a moment ago is still being written.
      await polling;
      await writing;
    },
    askNow() {
      askAgain = true;
      if (timer === undefined || stopped) return;
      timer.cancel();
      polling = poll();
    },
    get current() {
      return current;
    },
    status: () => ({
      name,
      serial: current?.serial,
      issuedAt: current && new Date(current.issuedAt).toISOString(),
      expiresAt: current && new Date(current.expiresAt).toISOString(),
      confirmedAt: confirmedAt === undefined ? undefined : new Date(confirmedAt).toISOString(),
      refused,
    }),
  };
}

/** undefined: it is no refusal of a bundle. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof ConfigError) return error.problems.map(problemText).join('; ');
  return error instanceof BundleFault ? error.message : undefined;
}
