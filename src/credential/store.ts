// Where the slow arm publishes and the hot arm reads: one Renewal per source, found by name.
// Sources without a subject are as many as the configuration names, each value at most 16 KiB: bounded by nature.
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { CredentialStore, TokenSource } from './credential.ts';
import { createRate } from './rate.ts';
import { createRenewal, type Renewal } from './renewal.ts';

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
  /** Of one endpoint. */
  readonly forcedRefreshesPerHour: number;
}

export function createCredentialStore(deps: StoreDeps): CredentialStore {
  const { clock, observer, random, forcedRefreshesPerHour: perHour } = deps;
  let generation = 0;
  const rates = new Map(
    deps.sources.map(({ source }) => [
      source.endpoint,
      createRate(Math.max(1, Math.ceil(perHour / 6)), 3_600_000 / perHour, clock),
    ]),
  );
  const renewals = new Map<string, Renewal>(
    deps.sources.map(({ source, required, maxLifetimeMs }) => [
      source.name,
      createRenewal({
        source,
        required,
        maxLifetimeMs,
        clock,
        observer,
        random,
        endpointRate: rates.get(source.endpoint)!,
        nextGeneration: () => ++generation,
      }),
    ]),
  );
  const required = deps.sources.filter((s) => s.required).map((s) => s.source.name);

  function of(source: string): Renewal {
    const renewal = renewals.get(source);
    if (!renewal) throw new TypeError(`no source named ${source}`);
    return renewal;
  }

  return {
    peek: (source) => of(source).peek(),
    reader: (source) => of(source).peek,
    get: (source, timeoutMs, signal) => of(source).get(timeoutMs, signal),
    after: (source, generation, timeoutMs, signal) => of(source).after(generation, timeoutMs, signal),
    failure: (source) => of(source).failure,
    retryAfterMs: (source) => of(source).retryAfterMs(),
    subscribe: (source, listener) => of(source).subscribe(listener),
    refused: (source, refused, requestKey) => of(source).refused(refused, requestKey),
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
