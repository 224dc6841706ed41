// Where the slow arm publishes and the hot arm reads: one Renewal per source, found by name. Sources without a subject are
// as many as the configuration names, each value at most 16 KiB: bounded by nature. Subjects share one bound in bytes.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createAllowance } from './allowance.ts';
import type { CredentialStore, TokenSource } from './credential.ts';
import { createRate } from './rate.ts';
import { createRenewal, type Renewal } from './renewal.ts';
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

export function createCredentialStore(deps: StoreDeps): CredentialStore {
  const { clock, observer, random, forcedRefreshesPerHour: perHour, firstFetchesPerSecond } = deps;
  let generation = 0;
  const cache = createSubjectCache(deps.credentialBytes);
  const endpoints = new Map(
    deps.sources.map(({ source }) => [
      source.endpoint,
      {
        endpointRate: createAllowance(perHour, clock),
        firstFetchRate: createRate(firstFetchesPerSecond, 1_000 / firstFetchesPerSecond, clock),
      },
    ]),
  );
  const renewals = new Map<string, Renewal>(
    deps.sources.map(({ source, required, maxLifetimeMs }) => {
      const nextGeneration = () => ++generation;
      const common = { source, maxLifetimeMs, clock, observer, random, nextGeneration };
      const rates = endpoints.get(source.endpoint)!;
      const renewal = source.perSubject
        ? createSubjectRenewal({ ...common, ...rates, cache })
        : createRenewal({ ...common, ...rates, required });
      return [source.name, renewal];
    }),
  );
  const required = deps.sources.filter((s) => s.required).map((s) => s.source.name);

  function of(source: string): Renewal {
    const renewal = renewals.get(source);
    if (!renewal) throw new TypeError(`no source named ${source}`);
    return renewal;
  }

  return {
    peek: (source, subjectKey) => of(source).peek(subjectKey),
    reader: (source) => of(source).peek,
    get: (source, ...wanted) => of(source).get(...wanted),
    after: (source, ...wanted) => of(source).after(...wanted),
    failure: (source, subjectKey) => of(source).failure(subjectKey),
    retryAfterMs: (source, subjectKey) => of(source).retryAfterMs(subjectKey),
    subscribe: (source, listener) => of(source).subscribe(listener),
    refused: (source, refused, requestKey) => of(source).refused(refused, requestKey),
    subjectOf: (source, valueKey) => of(source).subjectOf(valueKey),
    missing: () => required.filter((name) => !of(name).hadOne),
    status: () => [...renewals.values()].map((renewal) => renewal.status()),
    start() {
      for (const renewal of renewals.values()) renewal.start();
    },
    async stop() {
      await Promise.all([...renewals.values()].map((renewal) => renewal.stop()));
    },
  };
}
