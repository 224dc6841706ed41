// What a person looks at besides the present state: the last hour of providers and sources, the latest refusals, and what is
// known of inputs, certificates, sinks. An observer like those of logs and metrics; everything in it is bounded.
import type { Clock } from '../../lib/clock.ts';
import type { FeedbackDoor, ForcedRefresh, RefusalVerdict, SharedCacheState } from '../event-details.ts';
import { nullObserver, type Observer } from '../observer.ts';
import { createLastHour, type LastHour, type MinuteReport } from './last-hour.ts';

/** Refusals kept. */
const EVENTS = 50;
/** Of each kind: more than a configuration has, and those that take over may bring others without end. */
const NAMES = 10_000;

/** A refused attempt that Envoy told of. Times in epoch ms. */
export interface FeedbackEvent {
  readonly at: number;
  readonly door: FeedbackDoor;
  readonly policy: string | undefined;
  readonly source: string;
  /** Of the credential that was refused; undefined where that is in doubt. */
  readonly generation: number | undefined;
  readonly verdict: RefusalVerdict;
  /** What was done for it. */
  readonly refresh: ForcedRefresh | undefined;
  readonly renewed: { readonly at: number; readonly generation: number } | undefined;
}

export interface InputReport {
  readonly input: string;
  readonly entries: number | undefined;
  readonly currentAt: number | undefined;
  /** Why it could not be read anew; undefined = it could. */
  readonly refused: string | undefined;
}

export interface CertificateReport {
  readonly listener: string;
  readonly notAfter: number;
  readonly refused: string | undefined;
}

/** `reason` says what to change; undefined = nothing. */
export interface SharedCacheReport {
  readonly state: SharedCacheState;
  readonly reason: string | undefined;
}

export interface StatusRecorder {
  readonly observer: Observer;
  /** Calls, refusals and the breaker (1 half open, 2 open) of a token endpoint, by minute. */
  ofEndpoint(endpoint: string): readonly MinuteReport[];
  /**
   * Fetches of a source that ended `ok` or `failed`, by minute, when its credential came (epoch ms), and the scope that it asks
   * for and was not granted.
   */
  ofSource(source: string): {
    readonly lastHour: readonly MinuteReport[];
    readonly publishedAt?: number;
    readonly withheldScope?: readonly string[];
  };
  /** Of an inbound policy. */
  ofInboundPolicy(policy: string): { readonly refused: number; readonly shadow: number };
  /** The latest first. */
  feedback(): readonly FeedbackEvent[];
  inputs(): readonly InputReport[];
  certificates(): readonly CertificateReport[];
  sinks(): {
    readonly audit: { readonly state: 'ok' | 'failed'; readonly lost: number };
    readonly sharedCache: SharedCacheReport;
    readonly spansLost: number;
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

export function createStatusRecorder(clock: Clock): StatusRecorder {
  const endpoints = createNames<LastHour>(() => createLastHour(clock));
  const sources = createNames<{
    hour: LastHour;
    publishedAt: number | undefined;
    withheldScope: readonly string[];
  }>(() => ({ hour: createLastHour(clock), publishedAt: undefined, withheldScope: [] }));
  const inbound = createNames(() => ({ refused: 0, shadow: 0 }));
  const inputs = createNames<Writable<InputReport>>((input) => ({
    input,
    entries: undefined,
    currentAt: undefined,
    refused: undefined,
  }));
  const certificates = createNames<Writable<CertificateReport>>((listener) => ({
    listener,
    notAfter: 0,
    refused: undefined,
  }));
  const events: Writable<FeedbackEvent>[] = [];
  const audit: Writable<ReturnType<StatusRecorder['sinks']>['audit']> = { state: 'ok', lost: 0 };
  let sharedCache: SharedCacheReport = { state: 'down', reason: 'there is no connection yet' };
  let spansLost = 0;

  const observer: Observer = {
    ...nullObserver,
    endpointCalled: (endpoint) => endpoints.of(endpoint).count('calls'),
    endpointRefused: (endpoint) => endpoints.of(endpoint).count('notSent'),
    breakerChanged: (endpoint, state) =>
      endpoints.of(endpoint).hold('breaker', { closed: 0, half_open: 1, open: 2 }[state]),
    refreshEnded: (source, result) => sources.of(source).hour.count(result === 'ok' ? 'ok' : 'failed'),
    credentialPublished(source, generation) {
      const at = clock.now();
      sources.of(source).publishedAt = at;
      for (const event of events) {
        const waits = event.refresh === 'started' || event.refresh === 'joined';
        if (event.source === source && waits && event.renewed === undefined)
          event.renewed = { at, generation };
      }
    },
    scopeWithheld(source, scope) {
      sources.of(source).withheldScope = scope;
    },
    refusalSeen(door, source, verdict, refused) {
      events.unshift({
        at: clock.now(),
        door,
        policy: refused?.policy,
        source,
        generation: refused?.generation,
        verdict,
        refresh: undefined,
        renewed: undefined,
      });
      if (events.length > EVENTS) events.pop();
    },
    // Told within the call that follows what was seen.
    refreshForced(source, outcome) {
      const [event] = events;
      if (event?.source === source && event.verdict === 'counted') event.refresh ??= outcome;
    },
    inboundRefused(policy, _reason, _decision, mode) {
      const counts = inbound.of(policy ?? '');
      if (mode === 'shadow') counts.shadow++;
      else counts.refused++;
    },
    inputLoaded(input, entries) {
      Object.assign(inputs.of(input), { entries, currentAt: clock.now(), refused: undefined });
    },
    inputCurrent(input) {
      Object.assign(inputs.of(input), { currentAt: clock.now(), refused: undefined });
    },
    inputRefused(input, reason) {
      inputs.of(input).refused = reason;
    },
    certificateLoaded(listener, notAfter) {
      Object.assign(certificates.of(listener), { notAfter, refused: undefined });
    },
    certificateRefused(listener, reason) {
      certificates.of(listener).refused = reason;
    },
    auditSinkChanged(state) {
      audit.state = state === 'failed' ? 'failed' : 'ok';
    },
    auditRecordLost() {
      audit.lost++;
    },
    sharedCacheChanged(state, reason) {
      sharedCache = { state, reason };
    },
    spansLost(count) {
      spansLost += count;
    },
  };

  return {
    observer,
    ofEndpoint: (endpoint) => endpoints.known(endpoint)?.report() ?? [],
    ofSource(source) {
      const found = sources.known(source);
      if (found === undefined) return { lastHour: [] };
      const { hour, publishedAt, withheldScope } = found;
      return {
        lastHour: hour.report(),
        ...(publishedAt === undefined ? {} : { publishedAt }),
        ...(withheldScope.length === 0 ? {} : { withheldScope }),
      };
    },
    ofInboundPolicy: (policy) => ({ ...(inbound.known(policy) ?? { refused: 0, shadow: 0 }) }),
    feedback: () => events.map((event) => ({ ...event })),
    inputs: () => inputs.all(),
    certificates: () => certificates.all(),
    sinks: () => ({ audit: { ...audit }, sharedCache, spansLost }),
  };
}

/** What is kept by name; the name that came first goes when there are too many. */
function createNames<T>(create: (name: string) => T) {
  const known = new Map<string, T>();
  return {
    known: (name: string): T | undefined => known.get(name),
    of(name: string): T {
      const found = known.get(name);
      if (found !== undefined) return found;
      if (known.size >= NAMES) known.delete(known.keys().next().value!);
      const created = create(name);
      known.set(name, created);
      return created;
    },
    all: (): readonly T[] => [...known.values()].map((one) => ({ ...one })),
  };
}
