// Where the slow arm publishes and the hot arm reads: one Renewal per source, found by name. Sources without a subject are
// as many as the configuration names, each value at most 16 KiB: bounded by nature. Subjects share one bound in bytes.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type Allowance, createAllowance } from './allowance.ts';
import type { CredentialListener, CredentialStore, SourcesInForce, TokenSource } from './credential.ts';
import { createRate, type Rate } from './rate.ts';
import type { Renewal } from './renewal.ts';
import { createSourceRenewal } from './source-renewal.ts';
import { createSubjectCache } from './subject-entries.ts';
import { createSubjectRenewal } from './subject-renewal.ts';

export interface StoredSource {
  readonly source: TokenSource;
  readonly required: boolean;
  readonly maxLifetimeMs: number | undefined;
}

export interface StoreDeps {
  readonly sources: readonly StoredSource[];
  readonly clock: Clock;
  readonly observer: Observer;
  readonly random: () => number;
  /** Of one endpoint; undefined = by the lifetimes of its credentials. */
  readonly forcedRefreshesPerHour: number | undefined;
  /** For credentials of subjects, with the subject tokens that they were made from. */
  readonly credentialBytes: number;
  /** Fetches for subjects that have no credential yet, of one endpoint. */
  readonly firstFetchesPerSecond: number;
}

/** Other sources, made ready beside those in force. */
export interface SourceChange {
  /** Takes them over at once; those before end once nobody waits for them any more. */
  commit(): void;
  abandon(): void;
}

/** A store whose sources can be exchanged while it serves. */
export interface ChangeableStore extends CredentialStore {
  /**
   * Starts the sources that are not in `unchanged`, and waits at most `waitMs` for their first credentials, so that
   * requests find one after the change. Those in `unchanged` go on with what they have.
   */
  prepare(
    sources: readonly StoredSource[],
    unchanged: ReadonlySet<string>,
    waitMs: number,
  ): Promise<SourceChange>;
  /**
   * The sources in force now, for good: what was decided by the policies of before must not get the credential of another
   * source that has the same name since.
   */
  inForce(): SourcesInForce;
  /** What was refused for good may be renewed again: somebody looked after it. */
  reconsider(): void;
  /** Whether requests find one now; true also for a source of subjects, whose come with the requests. */
  hasCredential(source: string): boolean;
}

/** What still waits for a fetch of a source that was replaced gets its answer. */
const LINGER_MS = 10_000;

export function createCredentialStore(deps: StoreDeps): ChangeableStore {
  const { clock, observer, random, forcedRefreshesPerHour: perHour, firstFetchesPerSecond } = deps;
  let generation = 0;
  const nextGeneration = () => ++generation;
  const cache = createSubjectCache(deps.credentialBytes);
  const limits = new Map<string, { endpointRate: Allowance; firstFetchRate: Rate }>();
  const subscriptions = new Set<Subscription>();
  /** Replaced, and still waited for. */
  const lingering = new Set<Renewal>();
  let renewals = new Map(deps.sources.map((stored) => [stored.source.name, renewalOf(stored)]));
  let required = namesOfRequired(deps.sources);

  function limitsOf(endpoint: string) {
    const known = limits.get(endpoint) ?? {
      endpointRate: createAllowance(perHour, clock),
      firstFetchRate: createRate(firstFetchesPerSecond, 1_000 / firstFetchesPerSecond, clock),
    };
    limits.set(endpoint, known);
    return known;
  }

  function renewalOf({ source, required, maxLifetimeMs }: StoredSource): Renewal {
    const common = { source, maxLifetimeMs, clock, observer, random, nextGeneration };
    const rates = limitsOf(source.endpoint);
    return source.perSubject
      ? createSubjectRenewal({ ...common, ...rates, cache })
      : createSourceRenewal({ ...common, ...rates, required });
  }

  function of(source: string, among = renewals): Renewal {
    const renewal = among.get(source);
    if (!renewal) throw new TypeError(`no source named ${source}`);
    return renewal;
  }

  function asked(of: (source: string) => Renewal): SourcesInForce {
    return {
      peek: (source, subjectKey) => of(source).peek(subjectKey),
      reader: (source) => of(source).peek,
      get: (source, ...wanted) => of(source).get(...wanted),
      after: (source, ...wanted) => of(source).after(...wanted),
      failure: (source, subjectKey) => of(source).failure(subjectKey),
      retryAfterMs: (source, subjectKey) => of(source).retryAfterMs(subjectKey),
      refused: (source, ...refusal) => of(source).refused(...refusal),
      subjectOf: (source, valueKey) => of(source).subjectOf(valueKey),
    };
  }

  async function endLingering(): Promise<void> {
    const ended = [...lingering];
    lingering.clear();
    await Promise.all(ended.map((renewal) => renewal.stop()));
  }

  async function prepare(
    sources: readonly StoredSource[],
    unchanged: ReadonlySet<string>,
    waitMs: number,
  ): Promise<SourceChange> {
    const kept = (name: string) => (unchanged.has(name) ? renewals.get(name) : undefined);
    const next = new Map(
      sources.map((stored) => [stored.source.name, kept(stored.source.name) ?? renewalOf(stored)]),
    );
    const fresh = sources
      .filter(({ source }) => kept(source.name) === undefined)
      .map(({ source }) => ({ source, renewal: next.get(source.name)! }));
    // What only one may hold is started when the other has let go of it.
    const early = fresh.filter(({ source }) => source.exclusive !== true);
    for (const { renewal } of early) renewal.start();
    const shared = early.filter(({ source }) => !source.perSubject);
    await Promise.allSettled(shared.map(({ renewal }) => renewal.get(waitMs)));
    return {
      commit() {
        const gone = [...renewals].filter(([name, renewal]) => next.get(name) !== renewal);
        renewals = next;
        required = namesOfRequired(sources);
        for (const subscription of subscriptions) subscription.follow();
        const late = fresh.filter(({ source }) => source.exclusive === true);
        for (const [, renewal] of gone) lingering.add(renewal);
        if (late.length === 0) clock.setTimer(() => void endLingering(), LINGER_MS);
        else {
          void endLingering().then(() => {
            for (const { renewal } of late) renewal.start();
          });
        }
      },
      abandon() {
        for (const { renewal } of early) void renewal.stop();
      },
    };
  }

  /** Follows a source by its name, whichever renewal stands behind it. */
  function subscribe(source: string, listener: CredentialListener): () => void {
    let stop = of(source).subscribe(listener);
    const subscription: Subscription = {
      follow() {
        const renewal = renewals.get(source);
        if (renewal === renewalFollowed) return;
        renewalFollowed = renewal;
        stop();
        stop = renewal?.subscribe(listener) ?? (() => {});
        if (renewal === undefined) listener(undefined);
      },
    };
    let renewalFollowed = renewals.get(source);
    subscriptions.add(subscription);
    return () => {
      subscriptions.delete(subscription);
      stop();
    };
  }

  return {
    ...asked((source) => of(source)),
    inForce() {
      const now = renewals;
      return asked((source) => of(source, now));
    },
    hasCredential(source) {
      const renewal = renewals.get(source);
      return (
        renewal !== undefined && (renewal.status().subjects !== undefined || renewal.peek() !== undefined)
      );
    },
    reconsider() {
      for (const renewal of renewals.values()) renewal.reconsider();
    },
    subscribe,
    missing: () => required.filter((name) => !of(name).hadOne),
    status: () => [...renewals.values()].map((renewal) => renewal.status()),
    prepare,
    start() {
      for (const renewal of renewals.values()) renewal.start();
    },
    async stop() {
      await Promise.all([...renewals.values(), ...lingering].map((renewal) => renewal.stop()));
    },
  };
}

interface Subscription {
  follow(): void;
}

function namesOfRequired(sources: readonly StoredSource[]): readonly string[] {
  return sources.filter((stored) => stored.required).map(({ source }) => source.name);
}
