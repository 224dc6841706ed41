// What one configuration makes of requests: its policies, and the handlers of the doors that decide by them. Exchanged as a
// whole when the configuration changes.
import type { Config } from '../config/config.ts';
import type { ChangeableStore } from '../credential/store.ts';
import { createProcess, type ProcessHandler } from '../doors/attempt/process.ts';
import { createCheck } from '../doors/check/check.ts';
import type { AttemptOutcomes } from '../doors/feedback/attempt-outcomes.ts';
import type { CarriedRing } from '../doors/feedback/carried-ring.ts';
import type { Nonces } from '../doors/feedback/nonces.ts';
import type { Clock } from '../lib/clock.ts';
import type { Tracer } from '../lib/trace.ts';
import type { PolicyTable } from '../policy/policy.ts';
import type { SigningKeys } from '../proof/signing-keys.ts';
import type { UnaryHandler } from '../server/front.ts';
import type { Observer } from '../telemetry/observer.ts';

export interface Serving {
  readonly config: Config;
  readonly policies: PolicyTable;
  readonly check: UnaryHandler;
  readonly process: ProcessHandler;
  /** Of outbound[].sign. */
  readonly keys: SigningKeys;
}

export interface ServingDeps {
  readonly store: ChangeableStore;
  readonly observer: Observer;
  readonly clock: Clock;
  /** What the check door put on which request; outlives the configuration. */
  readonly carried: CarriedRing;
  readonly attempted: CarriedRing;
  readonly outcomes: AttemptOutcomes;
  readonly nonces: Nonces;
  /** Clusters of Envoy without TLS, as the attempt door learned. */
  readonly plainClusters: Set<string>;
  readonly tracer: Tracer | undefined;
}

/** The sources that `policies` name are in the store by now. */
export function createServing(
  config: Config,
  policies: PolicyTable,
  keys: SigningKeys,
  deps: ServingDeps,
): Serving {
  const { observer, clock, carried, attempted, outcomes, nonces, plainClusters, tracer } = deps;
  // A request may be waiting for Envoy's report, or for a first credential, while another configuration takes over.
  const store = deps.store.inForce();
  const common = { policies, store, observer, clock, tracer, maxWaitMs: config.maxWaitMs };
  return {
    config,
    policies,
    check: createCheck({ ...common, carried }),
    process: createProcess({ ...common, carried: attempted, outcomes, nonces, plainClusters, keys }),
    keys,
  };
}
