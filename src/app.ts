// Composition root: the only file that sees both the hot and the slow arm. No process state is touched here.
import type { CheckListenConfig, Config } from './config/config.ts';
import type { CredentialStore, TokenSource } from './credential/credential.ts';
import { createJwks } from './credential/jwks.ts';
import { createCredentialStore, type StoredSource } from './credential/store.ts';
import { createProcess, PROCESS_PATH } from './doors/attempt/process.ts';
import { CHECK_PATH, createCheck } from './doors/check/check.ts';
import { createAccessLogService } from './doors/feedback/access-log-service.ts';
import { createAttemptOutcomes } from './doors/feedback/attempt-outcomes.ts';
import { createCarriedRing } from './doors/feedback/carried-ring.ts';
import { createNonces } from './doors/feedback/nonces.ts';
import type { InboundDoor } from './doors/inbound/inbound-door.ts';
import { createPushedSecrets } from './doors/push/pushed-secrets.ts';
import type { Clock } from './lib/clock.ts';
import type { RuntimeReport } from './lib/runtime.ts';
import { compilePolicies } from './policy/compile.ts';
import type { PolicyTable } from './policy/policy.ts';
import { createSigningKeys } from './proof/signing-keys.ts';
import type { Front, UnaryHandler, UnaryMethods } from './server/front.ts';
import { createGrpcHealth, HEALTH_CHECK_PATH } from './server/grpc-health.ts';
import { createAdminServer, createHealthServer, type HttpServer } from './server/http.ts';
import { createRawFront, type RawFrontOptions } from './server/raw-front.ts';
import type { SharedCache } from './shared-cache/shared-cache.ts';
import { createEndpoints } from './source/endpoint/endpoints.ts';
import { createGuardedTokenSource } from './source/endpoint/guarded-source.ts';
import { createFallbackSource } from './source/fallback.ts';
import { findSharedSecrets } from './source/shared-secrets.ts';
import { createAudit } from './telemetry/audit/audit.ts';
import { createLogObserver } from './telemetry/log-observer.ts';
import { createLogger, type LogSink } from './telemetry/logger.ts';
import { createMetrics } from './telemetry/metrics-observer.ts';
import { createTeeObserver } from './telemetry/tee-observer.ts';

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
}

/** As bound: `unix:///…` or `127.0.0.1:PORT`. */
export interface Addresses {
  readonly check: string | undefined;
  readonly checkInbound: string | undefined;
  readonly xds: readonly string[];
  readonly health: string | undefined;
  readonly admin: string | undefined;
}

export interface App {
  /** Listens and begins to fetch. Rejects when an address cannot be had; nothing listens then. */
  start(): Promise<Addresses>;
  /** Lets calls in flight end, for `graceMs` (default 5000) at most. */
  stop(graceMs?: number): Promise<void>;
  readonly store: CredentialStore;
  readonly policies: PolicyTable;
}

const GRACE_MS = 5_000;

export async function createApp(config: Config, deps: AppDeps): Promise<App> {
  const { clock, env, random, version, runtime } = deps;
  const metrics = createMetrics(clock);
  const logger = createLogger(config.log, deps.log);
  const audit = config.audit && createAudit(config.audit, { clock, env, log: logger, out: deps.log });
  const logged = createLogObserver(logger, clock);
  const observer = createTeeObserver(
    audit ? createTeeObserver(audit.observer, logged) : logged,
    metrics.observer,
  );
  const policies = compilePolicies(config);
  const { refreshesPerHour } = config.limits;
  const endpoints = createEndpoints({ clock, random, observer, refreshesPerHour });
  // Its client is 18 MB of resident memory (measured).
  const shared =
    config.sharedCache &&
    (await import('./shared-cache/shared-cache.ts')).createSharedCache(config.sharedCache, {
      ...{ clock, env, observer, random },
    });
  const around: SharedCache['around'] = shared?.around ?? ((source) => source);
  const sources = await createSources();
  const store = createCredentialStore({
    sources,
    clock,
    observer,
    random,
    ...config.limits,
  });
  const carried = createCarriedRing();
  const attempted = createCarriedRing();
  const outcomes = createAttemptOutcomes(clock);
  const nonces = createNonces();
  const signed = config.outbound.flatMap(({ name, proof }) =>
    proof?.sign === undefined ? [] : ([[name, proof.sign]] as const),
  );
  const keys = createSigningKeys({ settings: new Map(signed), env, clock, observer });
  const secrets = createPushedSecrets({ store, policies, clock });
  const feedback = {
    store,
    policies,
    acknowledgements: secrets,
    carried,
    attempted,
    outcomes,
    nonces,
    observer,
    clock,
  };
  const startedAt = clock.now();
  /** Monotonic ms, once everything listens. */
  let listeningSince: number | undefined;
  let stopping = false;

  const inbound = await createInbound();
  const missing = (): readonly string[] => [...store.missing(), ...(inbound?.missing() ?? [])];
  const check =
    config.listen.check &&
    (await createCheckFront('outbound', config.listen.check, outboundCheck, attemptDoor()));
  const checkInbound =
    inbound && (await createCheckFront('inbound', config.listen.checkInbound!, () => inbound.check));
  const xds = config.listen.xds.length === 0 ? [] : await createXds();
  const health =
    config.listen.health &&
    createHealthServer(config.listen.health, {
      missing: () => (stopping ? ['shutting down'] : missing()),
      starting,
      metrics: () => metrics.render(),
      jwks: createJwks(sources.map(({ source }) => source)),
      observer,
    });
  const admin =
    config.listen.admin &&
    createAdminServer(config.listen.admin, {
      status,
      questions: new Map(inbound ? [['/v1/verify', inbound.verify]] : []),
      observer,
    });

  async function createSources(): Promise<StoredSource[]> {
    const guarded = new Map<string, TokenSource>();
    for (const source of config.sources) {
      const own = await createGuardedTokenSource(source, { clock, env, observer }, endpoints);
      guarded.set(source.name, around(own, source));
    }
    return config.sources.map(({ name, required, maxLifetimeMs, fallback }) => {
      const first = guarded.get(name)!;
      const second = fallback === undefined ? undefined : guarded.get(fallback)!;
      const source = second === undefined ? first : createFallbackSource(first, second, { clock, observer });
      return { source, required, maxLifetimeMs };
    });
  }

  /** Beside Check, for those who ask once an attempt. */
  function attemptDoor(): Pick<RawFrontOptions, 'exchanges' | 'streams'> {
    const { maxWaitMs } = config;
    const process = createProcess({
      policies,
      store,
      observer,
      clock,
      maxWaitMs,
      carried: attempted,
      outcomes,
      nonces,
      keys,
    });
    return {
      exchanges: new Map([[PROCESS_PATH, process]]),
      // On the same connections as the attempts: the entry about one is read before the message of the next.
      streams: [createAccessLogService({ ...feedback, name: 'check' })],
    };
  }

  /** A provider that is away holds a pod's start up for `startup_wait` and never longer. */
  function starting(): readonly string[] {
    if (listeningSince === undefined) return ['listeners'];
    return clock.monotonic() - listeningSince >= config.startupWaitMs ? [] : missing();
  }

  function outboundCheck(): UnaryHandler {
    return createCheck({ policies, store, observer, clock, maxWaitMs: config.maxWaitMs, carried });
  }

  // jose and undici are resident memory that a configuration without inbound need not pay.
  async function createInbound(): Promise<InboundDoor | undefined> {
    if (config.inbound === undefined) return undefined;
    const { createInboundDoor } = await import('./doors/inbound/inbound-door.ts');
    return createInboundDoor(config, config.inbound, { clock, env, observer, random });
  }

  async function createCheckFront(
    side: 'outbound' | 'inbound',
    { front, tls }: CheckListenConfig,
    handler: () => UnaryHandler,
    more: Pick<RawFrontOptions, 'exchanges' | 'streams'> = {},
  ): Promise<Front> {
    const methods: UnaryMethods = new Map([
      [CHECK_PATH, handler()],
      [HEALTH_CHECK_PATH, createGrpcHealth(() => !stopping && missing().length === 0)],
    ]);
    const options = { observer, name: side === 'inbound' ? 'check_inbound' : 'check', side, clock };
    if (front === 'node') {
      const { createNodeFront } = await import('./server/node-front.ts');
      return createNodeFront(methods, options);
    }
    return createRawFront(methods, { ...options, random, ...more, ...(tls ? { tls } : {}) });
  }

  // grpc-js is 17 MB of resident memory (measured): loaded only where the push door or feedback is configured.
  async function createXds(): Promise<Front[]> {
    const [{ createStreamServer }, { createSecretDiscovery }] = await Promise.all([
      import('./server/grpc-js.ts'),
      import('./doors/push/secret-discovery.ts'),
    ]);
    return config.listen.xds.map(({ sources }, i) => {
      const name = config.listen.xds.length === 1 ? 'xds' : `xds[${i}]`;
      return createStreamServer({
        name,
        observer,
        clock,
        methods: [
          ...createSecretDiscovery({
            secrets,
            observer,
            name,
            allowedSources: sources,
          }),
          createAccessLogService({ ...feedback, name }),
        ],
      });
    });
  }

  function status(): object {
    return {
      version,
      mode: config.mode,
      startedAt: new Date(startedAt).toISOString(),
      missing: missing(),
      sources: store.status(),
      endpoints: endpoints.status(),
      policies: policies.policies.map(({ name, source, injection, healOn, onFailure }) => ({
        name,
        source,
        headers: injection.headers.map((header) => header.name),
        query: injection.query,
        healOn,
        onFailure,
      })),
      inbound: inbound?.status(),
    };
  }

  const fronts = (): Front[] => [...(check ? [check] : []), ...(checkInbound ? [checkInbound] : []), ...xds];
  const pages = (): HttpServer[] => [health, admin].filter((server) => server !== undefined);

  async function stop(graceMs = GRACE_MS): Promise<void> {
    stopping = true;
    await Promise.all(fronts().map((front) => front.drain(graceMs)));
    secrets.close();
    inbound?.stop();
    keys.stop();
    await store.stop();
    shared?.close();
    await Promise.all(pages().map((server) => server.stop()));
    audit?.record('stopped', {});
    await audit?.stop();
  }

  return {
    store,
    policies,
    async start() {
      audit?.record('started', { version, mode: config.mode, policies: policies.policies.length });
      audit?.watch(
        policies.policies.map(({ name, source }) => ({
          name,
          source,
          injections: metrics.observer.injectionCount(name),
        })),
      );
      observer.processStarted(version, runtime);
      store.start();
      findSharedSecrets(config.sources, env).then((shared) => {
        for (const [source, other] of shared) observer.secretShared(source, other);
      });
      await keys.start();
      inbound?.start();
      try {
        const addresses = {
          check: check && (await check.listen(config.listen.check!.listener)),
          checkInbound: checkInbound && (await checkInbound.listen(config.listen.checkInbound!.listener)),
          xds: await Promise.all(xds.map((server, i) => server.listen(config.listen.xds[i]!.listener))),
          health: await health?.start(),
          admin: await admin?.start(),
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
