// The slow loop of a source whose credential is everybody's: fetch under single flight, publish, refresh ahead, retry with backoff, end in time.
import type { Timer } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { ForcedRefresh } from '../telemetry/event-details.ts';
import type { Allowance } from './allowance.ts';
import type { Credential, CredentialListener } from './credential.ts';
import { createIssuance, type IssuanceDeps, type Obtained, type Why } from './issuance.ts';
import { isUsable, leftMs, urgentMs } from './lifetime.ts';
import {
  ASKED_LATELY_MS,
  CALL_MS,
  EXPIRY_LOOK_MS,
  PROBE_MS,
  PROBE_WAIT_MS,
  PUSHED_EXPIRY_LOOK_MS,
} from './numbers.ts';
import { createMinuteRate } from './rate.ts';
import { createRefusals, LEAST_OF_SOURCE } from './refusals.ts';
import type { Renewal } from './renewal.ts';
import { retryDelayMs } from './retry.ts';
import { waitFor } from './wait.ts';

export interface SourceRenewalDeps extends IssuanceDeps {
  readonly required: boolean;
  /** Of forced refreshes, over all sources of the endpoint. */
  readonly endpointRate: Allowance;
}

export function createSourceRenewal(deps: SourceRenewalDeps): Renewal {
  const { source, clock, observer, random } = deps;
  const issuance = createIssuance(deps);
  // One live credential, so max(5, a fifth of the live ones) a minute is five.
  const refusals = createRefusals(
    clock,
    createMinuteRate(() => LEAST_OF_SOURCE, clock),
    deps.endpointRate,
  );
  const listeners = new Set<CredentialListener>();
  let current: Credential | undefined;
  let lifetimeMs = 0;
  let failure: CredentialError | undefined;
  let failures = 0;
  let flight: Promise<Credential> | undefined;
  let again = false;
  let refreshTimer: Timer | undefined;
  let refreshAt: number | undefined;
  let expiryTimer: Timer | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  let hadOne = false;
  let running = false;
  let unwatch: (() => void) | undefined;
  let unlisten: (() => void) | undefined;

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
    if (running && flight === undefined)
      schedule(retryMs(failure?.retryable === false ? failure : undefined));
  }

  function watchExpiry(): void {
    expiryTimer?.cancel();
    if (current === undefined || current.usableUntilMonotonic === Number.POSITIVE_INFINITY) return;
    // Timers sleep with the machine, and the wall clock may jump ahead of theirs.
    const lookMs = listeners.size > 0 ? PUSHED_EXPIRY_LOOK_MS : EXPIRY_LOOK_MS;
    const left = Math.min(leftMs(current, clock), lookMs);
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
    refreshTimer = clock.setTimer(() => void fetch(because()).catch(() => {}), delayMs);
  }

  /** Whether somebody waits for what a fetch of now brings, and until when. */
  function because(): Why {
    const credential = peek();
    if (credential === undefined)
      return isAsked() || !hadOne ? { neededBy: clock.monotonic() + CALL_MS } : {};
    const left = leftMs(credential, clock);
    // From its end on everybody waits.
    const isUrgent = Number.isFinite(left) && left <= urgentMs(lifetimeMs);
    return isUrgent ? { leftMs: left, neededBy: clock.monotonic() + left } : { leftMs: left };
  }

  function isAsked(): boolean {
    return listeners.size > 0 || clock.monotonic() - askedAt < ASKED_LATELY_MS || (deps.required && !hadOne);
  }

  function fetch(why: Why): Promise<Credential> {
    flight ??= fetchOnce(why).finally(() => {
      flight = undefined;
      if (again && running) {
        again = false;
        void fetch(because()).catch(() => {});
      }
    });
    return flight;
  }

  async function fetchOnce(why: Why): Promise<Credential> {
    const forced = why.refused !== undefined;
    refreshTimer?.cancel();
    try {
      return publish(await issuance.obtain(why), forced);
    } catch (error) {
      throw failed(error as CredentialError);
    }
  }

  function publish({ credential, ...obtained }: Obtained, forced: boolean): Credential {
    const unchanged = current !== undefined && current.value.reveal() === credential.value.reveal();
    current = credential;
    lifetimeMs = obtained.lifetimeMs;
    failure = undefined;
    failures = 0;
    hadOne = true;
    // The same value again is no new credential for the count of "refused for good".
    refusals.published(forced && !unchanged);
    if (!forced) deps.endpointRate.came();
    const { generation, expiresAt, keyId, issuedBy } = credential;
    observer.credentialPublished(source.name, generation, expiresAt, keyId, issuedBy);
    schedule(Math.max(PROBE_MS, obtained.refreshDelayMs));
    watchExpiry();
    for (const listener of listeners) listener(credential);
    return credential;
  }

  function failed(error: CredentialError): CredentialError {
    failure = error;
    const delayMs = retryMs(error);
    failures++;
    // A call that stop() broke off says nothing of the provider.
    if (running) observer.refreshFailed(source.name, error.code, error.message, delayMs);
    schedule(delayMs);
    return error;
  }

  /** `error` = of just now. */
  function retryMs(error: CredentialError | undefined): number {
    const left = current === undefined ? 0 : leftMs(current, clock);
    return retryDelayMs({ error, failures, leftMs: left, lifetimeMs, isAsked: isAsked() }, random);
  }

  function get(timeoutMs: number, signal?: AbortSignal): Promise<Credential> {
    const ready = peek();
    if (ready !== undefined) return Promise.resolve(ready);
    askedAt = clock.monotonic();
    // In a pause after a failure nobody waits: the answer is known. The pause is short while somebody asks.
    if (flight === undefined && refreshTimer !== undefined && failure !== undefined && failures > 0) {
      const left = (refreshAt ?? 0) - clock.now();
      if (left > PROBE_MS && failure.retryAfterMs === undefined && failure.retryable) schedule(PROBE_MS);
      return Promise.reject(failure);
    }
    // A provider that did not answer last time is not waited for long: the reason is known.
    const known = failures > 0 ? failure : undefined;
    const waitMs = known === undefined ? timeoutMs : Math.min(timeoutMs, PROBE_WAIT_MS);
    return waitFor(fetch({ neededBy: askedAt + CALL_MS }), waitMs, signal, clock, known);
  }

  function after(generation: number, timeoutMs: number, signal?: AbortSignal): Promise<Credential> {
    // Only a fetch under way brings another one: none is begun here, that is for refused() and its limits.
    if (flight === undefined || peek()?.generation !== generation) return get(timeoutMs, signal);
    return waitFor(flight, timeoutMs, signal, clock);
  }

  return {
    peek,
    get,
    after,
    failure: () => failure,
    get hadOne() {
      return hadOne;
    },
    retryAfterMs() {
      // A fetch under way ends soon; when the next one was planned says nothing then.
      if (flight !== undefined || refreshAt === undefined) return 1_000;
      return Math.max(1_000, refreshAt - clock.now());
    },
    subscribe(listener) {
      listeners.add(listener);
      listener(peek());
      watchExpiry();
      return () => void listeners.delete(listener);
    },
    refused(generation, requestKey, carriedForMs) {
      const outcome = ((): ForcedRefresh => {
        if (current === undefined || current.generation !== generation) return 'stale';
        if (refusals.counted(requestKey, carriedForMs)) return 'refused_for_good';
        // Before the limits: of a hundred requests refused during one fetch only the first is charged.
        if (flight !== undefined) return 'joined';
        if (!refusals.allowed()) return 'limited';
        void fetch({ refused: current.value, leftMs: leftMs(current, clock) }).catch(() => {});
        return 'started';
      })();
      observer.refreshForced(source.name, outcome);
      return outcome;
    },
    reconsider: () => refusals.reset(),
    subjectOf: () => undefined,
    status() {
      return {
        source: source.name,
        type: source.type,
        required: deps.required,
        generation: peek()?.generation,
        expiresAt: current?.expiresAt === Number.POSITIVE_INFINITY ? undefined : current?.expiresAt,
        nextRefreshAt: refreshAt,
        lastFailure: failure?.code,
        lastFailureText: failure?.message,
        subjects: undefined,
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
        else void fetch(because()).catch(() => {});
      });
      unlisten = source.arrived?.(() => {
        if (flight !== undefined) again = true;
        else void fetch(because()).catch(() => {});
      });
      void fetch(because()).catch(() => {});
    },
    async stop() {
      running = false;
      unwatch?.();
      unlisten?.();
      refreshTimer?.cancel();
      expiryTimer?.cancel();
      issuance.abort();
      await flight?.catch(() => {});
      await source.close?.();
    },
  };
}
