// What stands in force of a configuration: sources, policies, the handlers of the doors, the inbound door, and the versions
// that the guard leaves there. Exchanged as a whole while requests go on, one exchange after the other.
import type { Config } from '../config/config.ts';
import { type ChangeableStore, createCredentialStore } from '../credential/store.ts';
import type { AccessLogServiceDeps } from '../doors/feedback/access-log-service.ts';
import { createAttemptOutcomes } from '../doors/feedback/attempt-outcomes.ts';
import { createCarriedRing } from '../doors/feedback/carried-ring.ts';
import { createNonces } from '../doors/feedback/nonces.ts';
import type { InboundDoor } from '../doors/inbound/inbound-door.ts';
import { createPushedSecrets, type PushedSecrets } from '../doors/push/pushed-secrets.ts';
import { swapSecrets } from '../doors/push/swapped-secrets.ts';
import { fingerprint } from '../lib/fingerprint.ts';
import { compilePolicies } from '../policy/compile.ts';
import { type Arranged, arrange, nextStates, type PolicyStates } from '../policy/guard/versions.ts';
import { createSigningKeys, type SigningKeys } from '../proof/signing-keys.ts';
import type { Metrics } from '../telemetry/metrics-observer.ts';
import { unchangedSources } from './changes.ts';
import { createRolloutGuard, type RolloutGuard } from './guard/rollout-guard.ts';
import type { CreateInbound } from './inbound-side.ts';
import { createServing, type Serving } from './serving.ts';
import { type BuildDeps, type BuiltSources, buildSources, only } from './sources.ts';

export interface InForce {
  /** As it was read; what serves is what the guard makes of it. */
  readonly given: Config;
  readonly serving: Serving;
  readonly sources: BuiltSources;
  readonly inbound: InboundDoor | undefined;
  /** These outlive a configuration. */
  readonly store: ChangeableStore;
  readonly secrets: PushedSecrets;
  readonly guard: RolloutGuard;
  readonly feedback: AccessLogServiceDeps;
  /** What readiness waits for. */
  missing(): readonly string[];
  /** Runs `change` once the changes before it are done. */
  inTurn<T>(change: () => Promise<T>): Promise<T>;
  /** Only inside `inTurn`. Resolves with whether it is in force now; rejects, and then nothing has changed. */
  exchange(next: Config): Promise<boolean>;
  start(): Promise<void>;
  /** From now on nothing is exchanged any more. */
  close(): void;
  stop(): Promise<void>;
}

export interface InForceDeps extends BuildDeps {
  /** [0, 1), for jitter. */
  readonly random: () => number;
  /** The pod's name, for shares by pod. */
  readonly pod: string;
  readonly createInbound: CreateInbound;
  readonly requestsOf: Metrics['requestsOf'];
  /** What the guard knew when the process before this one ended. */
  readonly remembered: PolicyStates;
  /** Called after each exchange. */
  readonly exchanged: (serving: Serving) => void;
}

/** For first credentials and key sets of what is new, before it takes over: a reload is to be done within a second. */
const PREPARE_MS = 600;
const PREPARE_STEP_MS = 20;

export async function createInForce(config: Config, deps: InForceDeps): Promise<InForce> {
  const { clock, env, observer, random, tracer, pod, createInbound, requestsOf, remembered } = deps;
  const firstStates = nextStates(remembered, config);
  const first = arrange(config, firstStates);
  let given = config;
  let sources = await buildSources(first.config.sources, deps);
  let inbound = await createInbound(config);
  const store = createCredentialStore({ sources: sources.stored, clock, observer, random, ...config.limits });
  inbound?.use(store.inForce());
  const doors = {
    ...{ store, observer, clock, tracer },
    carried: createCarriedRing(),
    attempted: createCarriedRing(),
    outcomes: createAttemptOutcomes(clock),
    plainClusters: new Set<string>(),
    nonces: createNonces(),
  };
  let serving = createServing(
    first.config,
    compilePolicies(first.config, pod, first.insteads),
    createKeys(first.config),
    doors,
  );
  const secrets = createPushedSecrets({ store, policies: serving.policies, clock });
  const guard = createRolloutGuard({
    ...{ clock, observer, config, remembered, requestsOf },
    rearrange: (make) =>
      inTurn(async () => {
        if (!closed) await exchange(given, make());
      }),
    isPushed: (policy) =>
      serving.policies
        .byName(policy)
        ?.injection.headers.some(({ secretName }) => secrets.isFollowed(secretName)) === true,
    canInject: ({ name }) => store.hasCredential(name),
    isPodWithheld(policy) {
      const rollout = serving.policies.byName(policy)?.rollout;
      return rollout !== undefined && rollout.by === undefined && rollout.withheld(undefined) !== undefined;
    },
  });
  let changing: Promise<unknown> = Promise.resolve();
  let closed = false;
  useGuard(firstStates, first);

  function createKeys({ outbound }: Config): SigningKeys {
    const signed = outbound.flatMap(({ name, proof }) =>
      proof?.sign === undefined ? [] : ([[name, proof.sign]] as const),
    );
    return createSigningKeys({ settings: new Map(signed), env, clock, observer });
  }

  function useGuard(states: PolicyStates, { insteads }: Arranged): void {
    const made = insteads.size === 0 ? serving.policies : compilePolicies(given, pod);
    const swapped = swapSecrets(insteads, made.policies);
    // Envoy asks for what its own configuration names, which is made of what was given; shares are those in force.
    secrets.usePolicies({ policies: [...made.policies, ...serving.policies.policies] }, swapped.secrets);
    guard.use(given, states, config.listen.xds.length === 0 ? new Map() : swapped.manifests);
  }

  function inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = changing.then(change);
    changing = done.catch(() => {});
    return done;
  }

  /** Everything that can fail comes first; from the commit on nothing waits, so no request sees half of it. */
  async function exchange(asGiven: Config, states: PolicyStates): Promise<boolean> {
    const before = serving.config;
    const arranged = arrange(asGiven, states);
    const next = arranged.config;
    if (asGiven === given && fingerprint(next) === fingerprint(before)) {
      useGuard(states, arranged);
      return true;
    }
    const policies = compilePolicies(next, pod, arranged.insteads);
    const unchanged = unchangedSources(before, next);
    const nextSources = await buildSources(next.sources, deps, only(sources, unchanged));
    const keys = createKeys(next);
    const sameInbound = fingerprint(next.inbound) === fingerprint(before.inbound);
    const nextInbound = sameInbound ? inbound : await createInbound(next);
    if (!sameInbound) nextInbound?.start();
    const giveUp = (): void => {
      keys.stop();
      if (!sameInbound) nextInbound?.stop();
    };
    const preparing = Promise.all([
      store.prepare(nextSources.stored, unchanged, PREPARE_MS),
      keys.start(),
      untilReady(() => sameInbound || nextInbound === undefined || nextInbound.missing().length === 0),
    ]);
    const [change] = await preparing.catch((error: unknown) => {
      giveUp();
      throw error;
    });
    if (closed) {
      change.abandon();
      giveUp();
      return false;
    }
    const old = { inbound, keys: serving.keys };
    change.commit();
    sources = nextSources;
    serving = createServing(next, policies, keys, doors);
    inbound = nextInbound;
    inbound?.use(store.inForce());
    given = asGiven;
    useGuard(states, arranged);
    old.keys.stop();
    if (!sameInbound) old.inbound?.stop();
    deps.exchanged(serving);
    return true;
  }

  async function untilReady(ready: () => boolean): Promise<void> {
    const end = clock.monotonic() + PREPARE_MS;
    while (!ready() && clock.monotonic() < end) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, PREPARE_STEP_MS));
    }
  }

  return {
    get given() {
      return given;
    },
    get serving() {
      return serving;
    },
    get sources() {
      return sources;
    },
    get inbound() {
      return inbound;
    },
    ...{ store, secrets, guard, inTurn },
    feedback: {
      ...doors,
      acknowledgements: secrets,
      refusals: guard,
      get policies() {
        return serving.policies;
      },
    },
    missing: () => [...store.missing(), ...(inbound?.missing() ?? [])],
    exchange: async (next) => !closed && exchange(next, guard.next(next)),
    async start() {
      store.start();
      guard.start();
      await serving.keys.start();
      inbound?.start();
    },
    close() {
      closed = true;
    },
    async stop() {
      await guard.stop();
      secrets.close();
      inbound?.stop();
      serving.keys.stop();
      await store.stop();
    },
  };
}
