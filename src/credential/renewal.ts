// The slow loop of one source: fetch under single flight, publish, refresh ahead, retry with backoff, end in time.
import { fullJitterMs } from '../lib/backoff.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { ForcedRefresh, Observer } from '../telemetry/observer.ts';
import type {
  Credential,
  CredentialListener,
  IssueRequest,
  SourceStatus,
  TokenSource,
} from './credential.ts';
import { buildCredential, effectiveLifetimeMs, isUsable, refreshDelayMs, urgentMs } from './lifetime.ts';
import type { Rate } from './rate.ts';
import { createRefusals } from './refusals.ts';
import { validateToken } from './token-syntax.ts';

const FETCH_LIMIT_MS = 5_000;
const BACKOFF = { baseMs: 250, maxMs: 30_000 };
/** While nothing is left and somebody asks, so that a provider's return is seen within a second. */
const PROBE_MS = 500;
/** What the provider refused stays refused until somebody mends it; a changed secret file wakes us at once. */
const REJECTED_MS = 30_000;
/** An asker of the last seconds still counts. */
const ASKED_LATELY_MS = 5_000;
/** Retry-After of a provider is honoured up to here while a credential lives, and up to the second with none left. */
const MAX_RETRY_AFTER_MS = 300_000;
const MAX_RETRY_AFTER_WITHOUT_MS = 30_000;

export interface RenewalDeps {
  readonly source: TokenSource;
  readonly required: boolean;
  readonly maxLifetimeMs: number | undefined;
  readonly clock: Clock;
  readonly observer: Observer;
  readonly random: () => number;
  readonly endpointRate: Rate;
  /** Counts up over all sources. */
  readonly nextGeneration: () => number;
}

/** Why a fetch begins now; nothing of it = in the background, because of the time. */
type Why = Partial<Pick<IssueRequest, 'neededBy' | 'refused'>>;

export interface Renewal {
  peek(): Credential | undefined;
  get(timeoutMs: number, signal: AbortSignal | undefined): Promise<Credential>;
  after(generation: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<Credential>;
  readonly failure: CredentialError | undefined;
  readonly hadOne: boolean;
  retryAfterMs(): number;
  subscribe(listener: CredentialListener): () => void;
  refused(generation: number, requestKey: string): ForcedRefresh;
  status(): SourceStatus;
  start(): void;
  stop(): Promise<void>;
}

export function createRenewal(deps: RenewalDeps): Renewal {
  const { source, clock, observer, random } = deps;
  const refusals = createRefusals(clock, deps.endpointRate);
  const listeners = new Set<CredentialListener>();
  let current: Credential | undefined;
  let lifetimeMs = 0;
  let failure: CredentialError | undefined;
  let failures = 0;
  let flight: Promise<Credential> | undefined;
  let again = false;
  let abort: AbortController | undefined;
  let refreshTimer: Timer | undefined;
  let refreshAt: number | undefined;
  let expiryTimer: Timer | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let hadOne = false;
  let running = false;
  let unwatch: (() => void) | undefined;

  function peek(): Credential | undefined {
    if (current === undefined) return undefined;
    if (isUsable(current, clock)) return current;
    expire();
    return undefined;
  }

  function expire(): void {
    if (current === undefined) return;
    const { generation } = current;
    current = undefined;
    expiryTimer?.cancel();
    observer.credentialExpired(source.name, generation);
    failure ??= new CredentialError('credential_expired', 'the credential ended', { retryable: true });
    for (const listener of listeners) listener(undefined);
    // Somebody may be waiting for what comes next.
    if (running && flight === undefined) schedule(retryDelayMs());
  }

  function watchExpiry(): void {
    expiryTimer?.cancel();
    if (current === undefined || current.usableUntilMonotonic === Number.POSITIVE_INFINITY) return;
    // At least once a minute, since the wall clock may jump ahead of the timer's.
    const left = Math.min(
      current.usableUntilMonotonic - clock.monotonic(),
      current.usableUntil - clock.now(),
      60_000,
    );
    expiryTimer = clock.setTimer(() => {
      if (peek() !== undefined) watchExpiry();
    }, left);
  }

  function schedule(delayMs: number): void {
    refreshTimer?.cancel();
    refreshTimer = undefined;
    refreshAt = undefined;
    if (!running || delayMs === Number.POSITIVE_INFINITY) return;
    refreshAt = clock.now() + delayMs;
    refreshTimer = clock.setTimer(() => void fetch().catch(() => {}), delayMs);
  }

  function fetch(why: Why = {}): Promise<Credential> {
    flight ??= fetchOnce(why).finally(() => {
      flight = undefined;
      abort = undefined;
      if (again && running) {
        again = false;
        void fetch().catch(() => {});
      }
    });
    return flight;
  }

  async function fetchOnce({ neededBy, refused }: Why): Promise<Credential> {
    const forced = refused !== undefined;
    refreshTimer?.cancel();
    const controller = new AbortController();
    abort = controller;
    const limit = clock.setTimer(() => controller.abort(), FETCH_LIMIT_MS);
    const startedAt = clock.monotonic();
    try {
      const issued = await Promise.race([
        source.issue({ signal: controller.signal, neededBy, refused, subject: undefined }),
        aborted(controller.signal),
      ]);
      validateToken(issued.value.reveal(), source.syntax);
      const life = effectiveLifetimeMs(issued, deps.maxLifetimeMs);
      if (!(life > 0)) {
        throw new CredentialError('source_invalid_response', 'the credential has no life left', {
          retryable: true,
        });
      }
      observer.refreshEnded(source.name, 'ok', clock.monotonic() - startedAt, forced);
      return publish(buildCredential(source.name, issued, life, deps.nextGeneration(), clock), life, forced);
    } catch (error) {
      throw failed(error, clock.monotonic() - startedAt, forced);
    } finally {
      limit.cancel();
    }
  }

  function publish(credential: Credential, life: number, forced: boolean): Credential {
    const unchanged = current !== undefined && current.value.reveal() === credential.value.reveal();
    current = credential;
    lifetimeMs = life;
    failure = undefined;
    failures = 0;
    hadOne = true;
    // The same value again is no new credential for the count of "refused for good".
    refusals.published(forced && !unchanged);
    observer.credentialPublished(source.name, credential.generation, credential.expiresAt);
    schedule(refreshDelayMs(life, random));
    watchExpiry();
    for (const listener of listeners) listener(credential);
    return credential;
  }

  function failed(error: unknown, durationMs: number, forced: boolean): CredentialError {
    const known =
      error instanceof CredentialError
        ? error
        : new CredentialError('source_unavailable', 'unexpected failure of the source', {
            retryable: true,
            cause: error,
          });
    if (known !== error) observer.unexpected(`source ${source.name}`, error);
    failure = known;
    const delayMs = retryDelayMs(known.retryAfterMs);
    failures++;
    observer.refreshEnded(source.name, known.code, durationMs, forced);
    observer.refreshFailed(source.name, known.code, known.message, delayMs);
    schedule(delayMs);
    return known;
  }

  function retryDelayMs(retryAfterMs?: number): number {
    const left = current === undefined ? 0 : Math.max(0, current.usableUntil - clock.now());
    if (retryAfterMs !== undefined) {
      return Math.min(
        retryAfterMs,
        left > 0 ? Math.min(MAX_RETRY_AFTER_MS, left / 3) : MAX_RETRY_AFTER_WITHOUT_MS,
      );
    }
    if (failure?.retryable === false) return REJECTED_MS * (1 + random() / 3);
    if (left === 0) {
      const asked =
        listeners.size > 0 || clock.monotonic() - askedAt < ASKED_LATELY_MS || (deps.required && !hadOne);
      if (asked) return PROBE_MS;
      return Math.max(PROBE_MS, fullJitterMs(failures, BACKOFF, random));
    }
    const delay = Math.max(BACKOFF.baseMs / 2, fullJitterMs(failures, BACKOFF, random));
    // The closer the end, the shorter the wait: an urgent one is never put off by more than a fifth of what is left.
    return left <= urgentMs(lifetimeMs) ? Math.min(delay, Math.max(PROBE_MS, left / 5)) : delay;
  }

  function get(timeoutMs: number, signal: AbortSignal | undefined): Promise<Credential> {
    const ready = peek();
    if (ready !== undefined) return Promise.resolve(ready);
    askedAt = clock.monotonic();
    // In a pause after a failure nobody waits: the answer is known. The pause is short while somebody asks.
    if (flight === undefined && refreshTimer !== undefined && failure !== undefined && failures > 0) {
      const left = (refreshAt ?? 0) - clock.now();
      if (left > PROBE_MS && failure.retryAfterMs === undefined && failure.retryable) schedule(PROBE_MS);
      return Promise.reject(failure);
    }
    return within(fetch({ neededBy: askedAt + timeoutMs }), timeoutMs, signal);
  }

  function within(
    shared: Promise<Credential>,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Credential> {
    return new Promise((resolve, reject) => {
      const pending = () =>
        reject(
          new CredentialError('credential_pending', 'no credential within the wait', { retryable: true }),
        );
      const timer = clock.setTimer(pending, timeoutMs);
      // One caller's going away never ends the fetch that others wait for.
      signal?.addEventListener('abort', pending, { once: true });
      shared.then(resolve, reject).finally(() => {
        timer.cancel();
        signal?.removeEventListener('abort', pending);
      });
    });
  }

  function after(
    generation: number,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Credential> {
    // Only a fetch under way brings another one: none is begun here, that is for refused() and its limits.
    if (flight === undefined || peek()?.generation !== generation) return get(timeoutMs, signal);
    return within(flight, timeoutMs, signal);
  }

  return {
    peek,
    get,
    after,
    get failure() {
      return failure;
    },
    get hadOne() {
      return hadOne;
    },
    retryAfterMs() {
      return Math.max(1_000, refreshAt === undefined ? 1_000 : refreshAt - clock.now());
    },
    subscribe(listener) {
      listeners.add(listener);
      listener(peek());
      return () => void listeners.delete(listener);
    },
    refused(generation, requestKey) {
      const outcome = ((): ForcedRefresh => {
        if (current === undefined || current.generation !== generation) return 'stale';
        if (refusals.counted(requestKey)) return 'refused_for_good';
        // Before the limits: of a hundred requests refused during one fetch only the first is charged.
        if (flight !== undefined) return 'joined';
        if (!refusals.allowed()) return 'limited';
        void fetch({ refused: current.value }).catch(() => {});
        return 'started';
      })();
      observer.refreshForced(source.name, outcome);
      return outcome;
    },
    status() {
      return {
        source: source.name,
        type: source.type,
        required: deps.required,
        generation: peek()?.generation,
        expiresAt: current?.expiresAt === Number.POSITIVE_INFINITY ? undefined : current?.expiresAt,
        nextRefreshAt: refreshAt,
        lastFailure: failure?.code,
      };
    },
    start() {
      running = true;
      unwatch = source.watch?.(() => {
        observer.secretChanged(source.name);
        refusals.reset();
        failures = 0;
        // A fetch under way may have read the old file.
        if (flight !== undefined) again = true;
        else void fetch().catch(() => {});
      });
      void fetch().catch(() => {});
    },
    async stop() {
      running = false;
      unwatch?.();
      refreshTimer?.cancel();
      expiryTimer?.cancel();
      abort?.abort();
      await flight?.catch(() => {});
      await source.close?.();
    },
  };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () =>
      reject(new CredentialError('source_timeout', 'no answer within 5 s', { retryable: true }));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
