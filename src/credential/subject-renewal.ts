// The slow loop of a source whose every subject has a credential of its own. One sweep instead of timers: what was used
// lately is renewed ahead of its end, what ended is dropped, and what nobody asks for again costs nothing more.
import { fullJitterMs } from '../lib/backoff.ts';
import type { Timer } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { ForcedRefresh } from '../telemetry/event-details.ts';
import type { Allowance } from './allowance.ts';
import { createCache } from './cache.ts';
import type { Credential, Subject } from './credential.ts';
import { createIssuance, type IssuanceDeps, type Obtained, type Why } from './issuance.ts';
import { isUsable, leftMs } from './lifetime.ts';
import { honouredMs, PROBE_MS } from './numbers.ts';
import { createMinuteRate, type Rate } from './rate.ts';
import { createRefusals, LEAST_OF_SOURCE, OF_SOURCE } from './refusals.ts';
import type { Renewal } from './renewal.ts';
import { createSubjectEntries, type SubjectCache, type SubjectEntry } from './subject-entries.ts';
import { waitFor } from './wait.ts';

/** A round over all subjects takes two seconds, in slices that stall nobody (450,000 of them: 3 ms a slice). */
const SWEEP_MS = 250;
const SWEEP_SHARE = 1 / 8;
/** A renewal in the background is for those who were here again since the last one, and not longer ago than this. */
const USED_LATELY_MS = 300_000;
/** Renewals in the background at a time; whoever limits the calls to one provider may hold them further back. */
const MAX_BACKGROUND = 32;
const BACKOFF = { baseMs: 1_000, maxMs: 30_000 };
/** A provider that refused a subject is not asked again for it so soon, whoever asks. */
const REJECTED_MS = 10_000;
/** Failures kept. First fetches have a rate, so that 10 s of them are far fewer. */
const MAX_FAILURES = 4_096;

export interface SubjectRenewalDeps extends IssuanceDeps {
  readonly cache: SubjectCache;
  /** Of forced refreshes, over all sources of the endpoint. */
  readonly endpointRate: Allowance;
  /** Of fetches that find nothing to serve meanwhile, over all sources of the endpoint. */
  readonly firstFetchRate: Rate;
}

interface Failure {
  readonly error: CredentialError;
  /** Monotonic ms. */
  readonly until: number;
}

export function createSubjectRenewal(deps: SubjectRenewalDeps): Renewal {
  const { source, clock, observer, random } = deps;
  const issuance = createIssuance(deps);
  const entries = createSubjectEntries(deps.cache, clock, () => observer.subjectEvicted(source.name));
  const flights = new Map<string, Promise<Credential>>();
  const failures = createCache<Failure>({ bound: MAX_FAILURES, sizeOf: () => 1 });
  const forcedRate = createMinuteRate(() => Math.max(LEAST_OF_SOURCE, entries.size * OF_SOURCE), clock);
  let background = 0;
  let lastFailure: CredentialError | undefined;
  let sweepTimer: Timer | undefined;
  let running = false;
  let unwatch: (() => void) | undefined;

  function peek(subjectKey: string | undefined): Credential | undefined {
    if (subjectKey === undefined) return undefined;
    const entry = entries.find(subjectKey);
    if (entry === undefined || !isUsable(entry.credential, clock)) return undefined;
    entry.usedAt = clock.monotonic();
    return entry.credential;
  }

  function fetch(subject: Subject, why: Why): Promise<Credential> {
    const forced = why.refused !== undefined;
    const flight = issuance
      .obtain({ ...why, subject })
      .then(
        (obtained) => publish(subject, obtained, forced),
        (error: CredentialError) => {
          throw failed(subject, error);
        },
      )
      .finally(() => flights.delete(subject.key));
    flights.set(subject.key, flight);
    return flight;
  }

  function publish(subject: Subject, obtained: Obtained, forced: boolean): Credential {
    const { credential } = obtained;
    const before = entries.find(subject.key)?.credential;
    const unchanged = before !== undefined && before.value.reveal() === credential.value.reveal();
    const entry = entries.publish(subject, credential);
    entry.refreshAt = clock.monotonic() + obtained.refreshDelayMs;
    entry.usedAt = Number.NEGATIVE_INFINITY;
    entry.failures = 0;
    // The same value again is no new credential for the count of "refused for good".
    entry.refusals?.published(forced && !unchanged);
    if (!forced) deps.endpointRate.came();
    failures.delete(subject.key);
    lastFailure = undefined;
    observer.subjectsHeld(source.name, entries.size);
    sweepLater();
    return credential;
  }

  function failed(subject: Subject, error: CredentialError): CredentialError {
    lastFailure = error;
    const now = clock.monotonic();
    const entry = entries.find(subject.key);
    let delayMs = error.retryable ? PROBE_MS : REJECTED_MS;
    const left = entry === undefined ? 0 : leftMs(entry.credential, clock);
    if (error.retryAfterMs !== undefined) delayMs = Math.min(error.retryAfterMs, honouredMs(left));
    failures.set(subject.key, { error, until: now + delayMs });
    if (entry !== undefined && isUsable(entry.credential, clock)) {
      delayMs = Math.max(delayMs, fullJitterMs(entry.failures++, BACKOFF, random));
      entry.refreshAt = now + delayMs;
    }
    observer.refreshFailed(source.name, error.code, error.message, delayMs);
    return error;
  }

  function failureOf(subjectKey: string): Failure | undefined {
    const failure = failures.get(subjectKey);
    return failure !== undefined && failure.until > clock.monotonic() ? failure : undefined;
  }

  async function get(timeoutMs: number, signal?: AbortSignal, subject?: Subject): Promise<Credential> {
    if (subject === undefined) throw withoutSubject();
    const ready = peek(subject.key);
    if (ready !== undefined) return ready;
    const flight = flights.get(subject.key);
    if (flight !== undefined) return waitFor(flight, timeoutMs, signal, clock);
    const failure = failureOf(subject.key);
    if (failure !== undefined) throw failure.error;
    if (!deps.firstFetchRate.take()) {
      throw new CredentialError('first_fetch_limited', 'too many new subjects a second', { retryable: true });
    }
    return waitFor(fetch(subject, { neededBy: clock.monotonic() + timeoutMs }), timeoutMs, signal, clock);
  }

  async function after(
    generation: number,
    timeoutMs: number,
    signal?: AbortSignal,
    subject?: Subject,
  ): Promise<Credential> {
    if (subject === undefined) throw withoutSubject();
    const flight = flights.get(subject.key);
    if (flight === undefined || peek(subject.key)?.generation !== generation) {
      return get(timeoutMs, signal, subject);
    }
    return waitFor(flight, timeoutMs, signal, clock);
  }

  function refused(generation: number, requestKey: string): ForcedRefresh {
    const entry = entries.ofGeneration(generation);
    if (entry === undefined) return 'stale';
    const { subject, credential } = entry;
    entry.refusals ??= createRefusals(clock, forcedRate, deps.endpointRate);
    if (entry.refusals.counted(requestKey)) return 'refused_for_good';
    if (flights.has(subject.key)) return 'joined';
    if (!entry.refusals.allowed()) return 'limited';
    fetch(subject, { refused: credential.value, leftMs: leftMs(credential, clock) }).catch(() => {});
    return 'started';
  }

  function reconsider(): void {
    for (const entry of entries.slice(1)) entry.refusals?.reset();
  }

  function sweepLater(): void {
    if (!running || sweepTimer !== undefined || entries.size === 0) return;
    sweepTimer = clock.setTimer(() => {
      sweepTimer = undefined;
      for (const entry of entries.slice(SWEEP_SHARE)) visit(entry);
      observer.subjectsHeld(source.name, entries.size);
      sweepLater();
    }, SWEEP_MS);
  }

  function visit(entry: SubjectEntry): void {
    const { subject, credential, refreshAt, usedAt } = entry;
    if (flights.has(subject.key)) return;
    if (!isUsable(credential, clock)) {
      entries.remove(entry);
      return;
    }
    const now = clock.monotonic();
    if (refreshAt > now || now - usedAt > USED_LATELY_MS || background >= MAX_BACKGROUND) return;
    background++;
    fetch(subject, { leftMs: leftMs(credential, clock) })
      .catch(() => {})
      .finally(() => background--);
  }

  return {
    peek,
    get,
    after,
    failure: (subjectKey) => (subjectKey === undefined ? lastFailure : failureOf(subjectKey)?.error),
    // There is no credential before somebody comes, so nothing waits for a first one.
    hadOne: true,
    retryAfterMs(subjectKey) {
      const failure = subjectKey === undefined ? undefined : failureOf(subjectKey);
      return Math.max(1_000, failure === undefined ? 0 : failure.until - clock.monotonic());
    },
    subscribe(listener) {
      listener(undefined);
      return () => {};
    },
    refused(generation, requestKey) {
      const outcome = refused(generation, requestKey);
      observer.refreshForced(source.name, outcome);
      return outcome;
    },
    subjectOf: (valueKey) => entries.ofValue(valueKey),
    status() {
      return {
        source: source.name,
        type: source.type,
        required: false,
        generation: undefined,
        expiresAt: undefined,
        nextRefreshAt: undefined,
        lastFailure: lastFailure?.code,
        lastFailureText: lastFailure?.message,
        subjects: entries.size,
      };
    },
    reconsider,
    start() {
      running = true;
      unwatch = source.watch?.(() => {
        observer.secretChanged(source.name);
        failures.clear();
        reconsider();
      });
      sweepLater();
    },
    async stop() {
      running = false;
      unwatch?.();
      sweepTimer?.cancel();
      issuance.abort();
      await Promise.allSettled(flights.values());
      entries.clear();
      await source.close?.();
    },
  };
}

function withoutSubject(): CredentialError {
  return new CredentialError('subject_missing', 'asked without a subject', { retryable: false });
}
