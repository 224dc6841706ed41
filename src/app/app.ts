// Composition root: the only folder that sees both the hot and the slow arm. No process state is touched here.
import { hostname } from 'node:os';
import type { PolicyBundle } from '../bundle/policy-bundle.ts';
import type { VerifiedBundle } from '../bundle/signed-bundle.ts';
import type { Config } from '../config/config.ts';
import type { ConfigText } from '../config/config-texts.ts';
import { buildJwks } from '../credential/jwks.ts';
import { type ChangeableStore, createCredentialStore } from '../credential/store.ts';
import { createAttemptOutcomes } from '../doors/feedback/attempt-outcomes.ts';
import { createCarriedRing } from '../doors/feedback/carried-ring.ts';
import { createNonces } from '../doors/feedback/nonces.ts';
import { createPushedSecrets } from '../doors/push/pushed-secrets.ts';
import { swapSecrets } from '../doors/push/swapped-secrets.ts';
import type { Clock } from '../lib/clock.ts';
import { ConfigError, problemText } from '../lib/errors.ts';
import { contentHash, fingerprint } from '../lib/fingerprint.ts';
import type { RuntimeReport } from '../lib/runtime.ts';
import { compilePolicies } from '../policy/compile.ts';
import { type Arranged, arrange, nextStates, type PolicyStates } from '../policy/guard/versions.ts';
import type { PolicyTable } from '../policy/policy.ts';
import { createSigningKeys, type SigningKeys } from '../proof/signing-keys.ts';
import type { Front } from '../server/front.ts';
import type { HttpServer } from '../server/http.ts';
import { createEndpoints } from '../source/endpoint/endpoints.ts';
import { answerLogLevel, IN_FORCE, type LogSink } from '../telemetry/logger.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics-observer.ts';
import { announce } from './announce.ts';
import { refuseRestarts, unchangedSources } from './changes.ts';
import { readGuardState } from './guard-state.ts';
import { createInboundSide } from './inbound-side.ts';
import { createCheckFront, createXdsFronts, type ListenerDeps } from './listeners.ts';
import { createPages } from './pages.ts';
import { createRolloutGuard } from './rollout-guard.ts';
import { createServing } from './serving.ts';
import { type BuildDeps, buildSources, only } from './sources.ts';
import { buildStatus, type Status } from './status.ts';
import { createTelemetry } from './telemetry.ts';

/** Reads the local configuration, with the texts of a bundle behind it. Rejects with ConfigError. */
export type LoadConfig = (bundle: readonly ConfigText[]) => Promise<Config>;

export interface AppDeps {
  readonly clock: Clock;
  /** For `env:` references, HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** [0, 1), for jitter. */
  readonly random: () => number;
  /** Where log lines go. */
  readonly log: LogSink;
  readonly version: string;
  readonly runtime: RuntimeReport;
  /** For policy_bundle: each bundle is taken over with the local configuration as it is then. */
  readonly load?: LoadConfig;
  /** Default: Prometheus metrics. */
  readonly metrics?: Metrics;
}

/** As bound: `unix:///…` or `127.0.0.1:PORT`. */
export interface Addresses {
  readonly check: string | undefined;
  readonly checkInbound: string | undefined;
  readonly xds: readonly string[];
  readonly health: string | undefined;
  readonly admin: string | undefined;
  readonly status: string | undefined;
}

export interface App {
  /** Listens and begins to fetch. Rejects when an address cannot be had; nothing listens then. */
  start(): Promise<Addresses>;
  /** Lets calls in flight end, for `graceMs` (default 5000) at most. */
  stop(graceMs?: number): Promise<void>;
  /**
   * Takes over another configuration as a whole, while calls go on; what it leaves as it was goes on with its credentials.
   * What `load` rejects with as ConfigError, and what would need a restart, is reported, and the configuration in force stays.
   * Resolves with whether it was taken over.
   */
  reload(load: LoadConfig): Promise<boolean>;
  readonly store: ChangeableStore;
  readonly policies: PolicyTable;
}

const GRACE_MS = 5_000;
/** For first credentials and key sets of what is new, before it takes over: a reload is to be done within a second. */
const PREPARE_MS = 600;
const PREPARE_STEP_MS = 20;

export async function createApp(local: Config, deps: AppDeps): Promise<App> {
  const { clock, env, random, version, runtime } = deps;
  const metrics = deps.metrics ?? createMetrics(clock);
  const { observer, logger, recorder, audit } = await createTelemetry(local, {
    ...{ clock, env, metrics, log: deps.log },
  });
  /** Of the policy bundle in force. */
  let bundleTexts: readonly ConfigText[] = [];
  const bundle = await createBundle();
  const restored = await bundle?.restore(async (last) => {
    const read = await deps.load!(textsOf(last));
    bundleTexts = textsOf(last);
    return read;
  });
  // The last good bundle is in force before the first request.
  const config = restored ?? local;
  // The pod's name where there is one.
  const pod = hostname();
  const { refreshesPerHour } = config.limits;
  const endpoints = createEndpoints({ clock, random, observer, refreshesPerHour });
  // Its client is 18 MB of resident memory (measured).
  const shared =
    config.sharedCache &&
    (await import('../shared-cache/shared-cache.ts')).createSharedCache(config.sharedCache, {
      ...{ clock, env, observer, random },
      forcedRefreshesPerHour: config.limits.forcedRefreshesPerHour,
    });
  const tracing =
    config.tracing &&
    (await import('../telemetry/tracing.ts')).createTracing(config.tracing, { observer, version, node: pod });
  const building: BuildDeps = {
    ...{ clock, env, observer, endpoints, tracer: tracing },
    around: shared?.around ?? ((source) => source),
    sharedRecord: shared?.record,
  };
  const remembered =
    config.stateDir === undefined
      ? new Map()
      : await readGuardState(config.stateDir).catch((error: Error) => {
          observer.guardHindered('state_dir', error.message);
          return new Map();
        });
  const firstStates = nextStates(remembered, config);
  const first = arrange(config, firstStates);
  let sources = await buildSources(first.config.sources, building);
  const store = createCredentialStore({ sources: sources.stored, clock, observer, random, ...config.limits });
  const carried = createCarriedRing();
  const attempted = createCarriedRing();
  const outcomes = createAttemptOutcomes(clock);
  const doors = {
    store,
    observer,
    clock,
    carried,
    attempted,
    outcomes,
    nonces: createNonces(),
    tracer: tracing,
  };
  /** As it was read; what stands in force is what the guard makes of it. */
  let given = config;
  let serving = createServing(
    first.config,
    compilePolicies(first.config, pod, first.insteads),
    createKeys(first.config),
    doors,
  );
  const secrets = createPushedSecrets({ store, policies: serving.policies, clock });
  const guard = createRolloutGuard({
    ...{ clock, observer, config, remembered, rearrange },
    requestsOf: metrics.requestsOf,
    canInject: ({ name }) => store.hasCredential(name),
    isPodWithheld(policy) {
      const rollout = serving.policies.byName(policy)?.rollout;
      return rollout !== undefined && rollout.by === undefined && rollout.withheld(undefined) !== undefined;
    },
  });
  useGuard(firstStates, first);
  const feedback = {
    ...doors,
    acknowledgements: secrets,
    refusals: guard,
    get policies() {
      return serving.policies;
    },
  };
  const startedAt = clock.now();
  /** Of the configuration in force; counts up with each that is taken over. */
  const revision = { number: 1, hash: contentHash(config).slice(0, 16), since: startedAt };
  let refusedReload: string | undefined;
  let exchanging: Promise<unknown> = Promise.resolve();
  /** Monotonic ms, once everything listens. */
  let listeningSince: number | undefined;
  let stopping = false;

  const createInbound = createInboundSide({ clock, env, observer, random }, shared?.marks);
  let inbound = await createInbound(config);
  const missing = (): readonly string[] => [
    ...store.missing(),
    ...(inbound?.missing() ?? []),
    ...(bundle !== undefined && bundle.current === undefined ? ['policy bundle'] : []),
  ];
  const listening: ListenerDeps = {
    ...{ observer, clock, random },
    ready: () => !stopping && missing().length === 0,
  };
  const check =
    config.listen.check &&
    (await createCheckFront(
      {
        side: 'outbound',
        listen: config.listen.check,
        check: (message, call) => serving.check(message, call),
        attempt: { process: (...attempt) => serving.process(...attempt), feedback },
      },
      listening,
    ));
  const checkInbound =
    inbound &&
    (await createCheckFront(
      {
        side: 'inbound',
        listen: config.listen.checkInbound!,
        check: (message, call) => inbound!.check(message, call),
      },
      listening,
    ));
  const xds = await createXdsFronts(config.listen.xds, secrets, feedback, listening);
  const {
    health,
    admin,
    status: statusPage,
  } = createPages(config.listen, {
    missing: () => (stopping ? ['shutting down'] : missing()),
    starting,
    notes: () => guard.notes(),
    metrics: () => metrics.render(),
    jwks: () => buildJwks(sources.stored.map(({ source }) => source)),
    status,
    questions: new Map<string, (question: unknown) => Promise<object>>([
      ['/v1/log-level', (question) => answerLogLevel(logger, question)],
      ...(inbound ? [['/v1/verify', (question: unknown) => inbound!.verify(question)] as const] : []),
    ]),
    ...{ observer, clock, env },
  });

  /** A provider that is away holds a pod's start up for `startup_wait` and never longer. */
  function starting(): readonly string[] {
    if (listeningSince === undefined) return ['listeners'];
    return clock.monotonic() - listeningSince >= config.startupWaitMs ? [] : missing();
  }

  function createKeys({ outbound }: Config): SigningKeys {
    const signed = outbound.flatMap(({ name, proof }) =>
      proof?.sign === undefined ? [] : ([[name, proof.sign]] as const),
    );
    return createSigningKeys({ settings: new Map(signed), env, clock, observer });
  }

  async function createBundle(): Promise<PolicyBundle | undefined> {
    const { policyBundle, stateDir } = local;
    const { load } = deps;
    if (policyBundle === undefined) return undefined;
    if (load === undefined) throw new Error('policy_bundle needs a way to read the local configuration');
    const { createPolicyBundle } = await import('../bundle/policy-bundle.ts');
    const take = (next: VerifiedBundle): Promise<void> =>
      inTurn(async () => {
        const texts = textsOf(next);
        await takeOver(await load(texts));
        bundleTexts = texts;
      });
    return createPolicyBundle(policyBundle, { clock, env, observer, random, stateDir, take });
  }

  function reload(load: LoadConfig): Promise<boolean> {
    // Who asks for the local files to be read again would not wait for the rest.
    bundle?.askNow();
    return inTurn(async () => {
      try {
        await takeOver(await load(bundleTexts));
        refusedReload = undefined;
        return true;
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        refusedReload = error.problems.map(problemText).join('; ');
        observer.configurationRefused(error.file, refusedReload);
        audit?.record('configuration_refused', { problems: error.problems.length });
        return false;
      }
    });
  }

  /** Exchanges go one after the other. */
  function inTurn<T>(exchanged: () => Promise<T>): Promise<T> {
    const done = exchanging.then(exchanged);
    exchanging = done.catch(() => {});
    return done;
  }

  async function takeOver(next: Config): Promise<void> {
    if (stopping || fingerprint(next) === fingerprint(given)) return;
    refuseRestarts(given, next, 'the new configuration');
    if (!(await exchange(next, guard.next(next)))) return;
    announce(next, observer, env);
    revision.number++;
    revision.hash = contentHash(next).slice(0, 16);
    revision.since = clock.now();
    logger.level = next.log.level;
    observer.configurationTaken(revision.number, revision.hash);
    audit?.record('configuration_taken', { revision: revision.number, hash: revision.hash });
  }

  /** For the guard: the same configuration with other versions of its policies. */
  function rearrange(make: () => PolicyStates): Promise<void> {
    return inTurn(async () => {
      if (!stopping) await exchange(given, make());
    });
  }

  function useGuard(states: PolicyStates, { insteads }: Arranged): void {
    const made = insteads.size === 0 ? serving.policies : compilePolicies(given, pod);
    const swapped = swapSecrets(insteads, made.policies);
    // Envoy asks for what its own configuration names, which is made of what was given; shares are those in force.
    secrets.usePolicies({ policies: [...made.policies, ...serving.policies.policies] }, swapped.secrets);
    guard.use(given, states, config.listen.xds.length === 0 ? new Map() : swapped.manifests);
  }

  /**
   * Everything that can fail comes first; from the commit on nothing waits, so no request sees half of it. Resolves with
   * whether it is in force.
   */
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
    const nextSources = await buildSources(next.sources, building, only(sources, unchanged));
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
    if (stopping) {
      change.abandon();
      giveUp();
      return false;
    }
    const old = { inbound, keys: serving.keys };
    change.commit();
    sources = nextSources;
    serving = createServing(next, policies, keys, doors);
    inbound = nextInbound;
    given = asGiven;
    useGuard(states, arranged);
    old.keys.stop();
    if (!sameInbound) old.inbound?.stop();
    watchInjections();
    return true;
  }

  async function untilReady(ready: () => boolean): Promise<void> {
    const end = clock.monotonic() + PREPARE_MS;
    while (!ready() && clock.monotonic() < end) {
      await new Promise<void>((resolve) => clock.setTimer(resolve, PREPARE_STEP_MS));
    }
  }

  function watchInjections(): void {
    audit?.watch(
      serving.policies.policies.map(({ name, source }) => ({
        name,
        source,
        injections: metrics.observer.injectionCount(name),
      })),
    );
  }

  function status(): Status {
    return buildStatus({
      ...{ version, mode: config.mode, node: pod, now: clock.now(), recorder, metrics },
      startedAt: new Date(startedAt).toISOString(),
      missing: missing(),
      config: serving.config,
      policies: serving.policies.policies,
      sources: store.status(),
      endpoints: endpoints.status(),
      pushed: secrets.status(),
      inbound: inbound?.status(),
      configuration: {
        revision: revision.number,
        hash: revision.hash,
        since: new Date(revision.since).toISOString(),
        refused: refusedReload,
      },
      guard: guard.status(),
      policyBundle: bundle?.status(),
    });
  }

  const fronts = (): Front[] => [...(check ? [check] : []), ...(checkInbound ? [checkInbound] : []), ...xds];
  const pages = (): HttpServer[] => [health, admin, statusPage].filter((server) => server !== undefined);

  async function stop(graceMs = GRACE_MS): Promise<void> {
    stopping = true;
    await Promise.all(fronts().map((front) => front.drain(graceMs)));
    await guard.stop();
    secrets.close();
    await bundle?.stop();
    inbound?.stop();
    serving.keys.stop();
    await store.stop();
    shared?.close();
    await Promise.all(pages().map((server) => server.stop()));
    await tracing?.stop();
    audit?.record('stopped', {});
    await audit?.stop();
  }

  return {
    store,
    get policies() {
      return serving.policies;
    },
    reload,
    async start() {
      audit?.record('started', { version, mode: config.mode, hash: revision.hash });
      watchInjections();
      observer.processStarted(version, runtime);
      logger.info({ revision: revision.number, hash: revision.hash }, IN_FORCE);
      store.start();
      guard.start();
      announce(config, observer, env);
      await serving.keys.start();
      inbound?.start();
      bundle?.start();
      try {
        const addresses = {
          check: check && (await check.listen(config.listen.check!.listener)),
          checkInbound: checkInbound && (await checkInbound.listen(config.listen.checkInbound!.listener)),
          xds: await Promise.all(xds.map((server, i) => server.listen(config.listen.xds[i]!.listener))),
          health: await health?.start(),
          admin: await admin?.start(),
          status: await statusPage?.start(),
        };
        listeningSince = clock.monotonic();
        return addresses;
      } catch (error) {
        await stop(0);
        throw error;
      }
    },
    stop,
  };
}

/** In the order of their names, as files of a directory are read. */
function textsOf({ serial, files }: VerifiedBundle): readonly ConfigText[] {
  return Object.entries(files)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => ({ file: `bundle ${serial}/${name}`, text, ofBundle: true }));
}
