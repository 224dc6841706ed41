// Composition root: the only folder that sees both the hot and the slow arm. No process state is touched here.
import { hostname } from 'node:os';
import type { PolicyBundle, PolicyBundleDeps } from '../bundle/policy-bundle.ts';
import type { Config } from '../config/config.ts';
import { textsOfBundle } from '../config/config-texts.ts';
import { buildJwks } from '../credential/jwks.ts';
import type { ChangeableStore } from '../credential/store.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import type { RuntimeReport } from '../lib/runtime.ts';
import type { PolicyStates } from '../policy/guard/versions.ts';
import type { PolicyTable } from '../policy/policy.ts';
import { createEndpoints } from '../source/endpoint/endpoints.ts';
import { answerLogLevel, type LogSink } from '../telemetry/logger.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics-observer.ts';
import type { Observer } from '../telemetry/observer.ts';
import { findingsOf } from './findings.ts';
import { readGuardState } from './guard/state.ts';
import { createInForce } from './in-force.ts';
import { createInboundSide } from './inbound-side.ts';
import { createListeners, type EnvoyAddresses } from './listeners.ts';
import { createPages, type PageAddresses } from './pages.ts';
import { createRevisions, type LoadConfig } from './revisions.ts';
import type { Serving } from './serving.ts';
import { buildFacts, type Status } from './status.ts';
import { createTelemetry } from './telemetry.ts';

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

export type Addresses = EnvoyAddresses & PageAddresses;

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
/**
 * After the drain, for what is still to be stored: a rotated refresh token that is lost was a login. Its call may take 15 s,
 * and the whole end less than 10; one that was left is known by its mark.
 */
const STORING_MS = 2_000;

export async function createApp(local: Config, deps: AppDeps): Promise<App> {
  const { clock, env, random, version, runtime, load = noLoad } = deps;
  const metrics = deps.metrics ?? createMetrics(clock);
  const { observer, logger, recorder, audit } = await createTelemetry(local, {
    ...{ clock, env, metrics, log: deps.log },
  });
  const bundle = await createBundle(local, {
    ...{ clock, env, observer, random },
    take: (next) => revisions.takeBundle(next, load),
  });
  // The last good bundle is in force before the first request.
  const config = (await bundle?.restore((last) => load(textsOfBundle(last)))) ?? local;
  // The pod's name where there is one.
  const pod = hostname();
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
  const { refreshesPerHour } = config.limits;
  const endpoints = createEndpoints({ clock, random, observer, refreshesPerHour });
  const inForce = await createInForce(config, {
    ...{ clock, env, observer, random, pod, endpoints },
    tracer: tracing,
    around: shared?.around ?? ((source) => source),
    sharedRecord: shared?.record,
    createInbound: createInboundSide({ clock, env, observer, random, tracer: tracing }, shared?.marks),
    requestsOf: metrics.requestsOf,
    remembered: await rememberedStates(config, observer),
    exchanged: watchInjections,
  });
  const revisions = createRevisions({
    ...{ inForce, bundle, observer, logger, audit, env },
    now: () => clock.now(),
  });
  const startedAt = new Date(clock.now()).toISOString();
  /** Monotonic ms, once everything listens. */
  let listeningSince: number | undefined;
  let stopping = false;

  const missing = (): readonly string[] => [
    ...inForce.missing(),
    ...(bundle !== undefined && bundle.current === undefined ? ['policy bundle'] : []),
  ];
  const listeners = await createListeners(config.listen, inForce, {
    ...{ observer, clock, random },
    ready: () => !stopping && missing().length === 0,
  });
  const pages = createPages(config.listen, {
    missing: () => (stopping ? ['shutting down'] : missing()),
    starting,
    notes: () => inForce.guard.notes(),
    metrics: () => metrics.render(),
    jwks: () => buildJwks(inForce.sources.stored.map(({ source }) => source)),
    status,
    questions: new Map<string, (question: unknown) => Promise<object>>([
      ['/v1/log-level', (question) => answerLogLevel(logger, question)],
      ...(inForce.inbound
        ? [['/v1/verify', (question: unknown) => inForce.inbound!.verify(question)] as const]
        : []),
    ]),
    ...{ observer, clock, env },
  });

  /** A provider that is away holds a pod's start up for `startup_wait` and never longer. */
  function starting(): readonly string[] {
    if (listeningSince === undefined) return ['listeners'];
    return clock.monotonic() - listeningSince >= config.startupWaitMs ? [] : missing();
  }

  function watchInjections({ policies }: Serving): void {
    audit?.watch(
      policies.policies
        .filter(({ denies }) => denies === undefined)
        .map(({ name, source }) => ({
          name,
          source,
          injections: metrics.observer.injectionCount(name, source),
        })),
    );
  }

  function status(): Status {
    const { serving, store, secrets, inbound, guard } = inForce;
    const facts = buildFacts({
      ...{ version, mode: config.mode, node: pod, now: clock.now(), startedAt, recorder, metrics },
      missing: missing(),
      config: serving.config,
      policies: serving.policies.policies,
      sources: store.status(),
      endpoints: endpoints.status(),
      pushed: secrets.status(),
      inbound: inbound?.status(),
      configuration: revisions.status(),
      guard: guard.status(),
      policyBundle: bundle?.status(),
    });
    return { ...facts, findings: findingsOf(facts) };
  }

  async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
    let timer: Timer | undefined;
    const time = new Promise<void>((resolve) => {
      timer = clock.setTimer(resolve, ms);
    });
    await Promise.race([work, time]).finally(() => timer?.cancel());
  }

  async function stop(graceMs = GRACE_MS): Promise<void> {
    stopping = true;
    inForce.close();
    await listeners.drain(graceMs);
    await atMost(STORING_MS, Promise.all([bundle?.stop(), inForce.stop()]));
    shared?.close();
    await pages.stop();
    await atMost(STORING_MS, Promise.all([tracing?.stop(), audit?.stop()]));
  }

  return {
    store: inForce.store,
    get policies() {
      return inForce.serving.policies;
    },
    reload: (read) => revisions.reload(read),
    async start() {
      audit?.record('started', { version, mode: config.mode, hash: revisions.hash });
      watchInjections(inForce.serving);
      observer.processStarted(version, runtime);
      revisions.start();
      await inForce.start();
      bundle?.start();
      try {
        const addresses = { ...(await listeners.listen()), ...(await pages.start()) };
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

const noLoad: LoadConfig = () =>
  Promise.reject(new Error('policy_bundle needs a way to read the local configuration'));

async function createBundle(
  { policyBundle, stateDir }: Config,
  deps: Omit<PolicyBundleDeps, 'stateDir'>,
): Promise<PolicyBundle | undefined> {
  if (policyBundle === undefined) return undefined;
  const { createPolicyBundle } = await import('../bundle/policy-bundle.ts');
  return createPolicyBundle(policyBundle, { ...deps, stateDir });
}

async function rememberedStates({ stateDir }: Config, observer: Observer): Promise<PolicyStates> {
  if (stateDir === undefined) return new Map();
  return readGuardState(stateDir).catch((error: Error) => {
    observer.guardHindered('state_dir', error.message);
    return new Map();
  });
}
