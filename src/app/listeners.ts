// The listeners of one process for Envoy, from their addresses. They outlive a configuration: what they ask is exchanged
// behind them.
import type { CheckListenConfig, Config, XdsListenConfig } from '../config/config.ts';
import { PROCESS_PATH, type ProcessHandler } from '../doors/attempt/process.ts';
import { MARK } from '../doors/attempt/request.ts';
import { readUpstream } from '../doors/attempt/upstream.ts';
import { CHECK_PATH } from '../doors/check/check.ts';
import { type AccessLogServiceDeps, createAccessLogService } from '../doors/feedback/access-log-service.ts';
import type { PushedSecrets } from '../doors/push/pushed-secrets.ts';
import { createSecretDiscovery } from '../doors/push/secret-discovery.ts';
import type { Clock } from '../lib/clock.ts';
import type { Exchange, Front, UnaryHandler, UnaryMethods } from '../server/front.ts';
import { createGrpcHealth, HEALTH_CHECK_PATH } from '../server/grpc-health.ts';
import { createRawFront } from '../server/raw-front.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { InForce } from './in-force.ts';

/** As bound: `unix:///…` or `127.0.0.1:PORT`. */
export interface EnvoyAddresses {
  readonly check: string | undefined;
  readonly checkInbound: string | undefined;
  readonly xds: readonly string[];
}

export interface Listeners {
  listen(): Promise<EnvoyAddresses>;
  /** Lets calls in flight end, for `graceMs` at most. */
  drain(graceMs: number): Promise<void>;
}

export interface ListenerDeps {
  readonly observer: Observer;
  readonly clock: Clock;
  /** [0, 1), for jitter. */
  readonly random: () => number;
  /** For grpc.health.v1. */
  readonly ready: () => boolean;
}

export async function createListeners(
  listen: Config['listen'],
  inForce: InForce,
  deps: ListenerDeps,
): Promise<Listeners> {
  const { secrets, feedback } = inForce;
  const check =
    listen.check &&
    (await createCheckFront(
      {
        side: 'outbound',
        listen: listen.check,
        check: (message, call) => inForce.serving.check(message, call),
        attempt: { process: (...attempt) => inForce.serving.process(...attempt), feedback },
      },
      deps,
    ));
  const checkInbound =
    inForce.inbound &&
    (await createCheckFront(
      {
        side: 'inbound',
        listen: listen.checkInbound!,
        check: (message, call) => inForce.inbound!.check(message, call),
      },
      deps,
    ));
  const xds = createXdsFronts(listen.xds, secrets, feedback, deps);
  return {
    listen: async () => ({
      check: check && (await withKey('check', check.listen(listen.check!.listener))),
      checkInbound:
        checkInbound && (await withKey('check_inbound', checkInbound.listen(listen.checkInbound!.listener))),
      xds: await Promise.all(xds.map((server, i) => withKey('xds', server.listen(listen.xds[i]!.listener)))),
    }),
    async drain(graceMs) {
      const fronts = [check, checkInbound, ...xds];
      await Promise.all(fronts.map((front) => front?.drain(graceMs)));
    },
  };
}

/** An address that cannot be had is told with the key below `listen` that asks for it. */
export function withKey<T>(key: string, listening: Promise<T>): Promise<T> {
  return listening.catch((error: Error) => {
    throw new Error(`listen.${key}: ${error.message}`);
  });
}

interface CheckFrontOptions {
  readonly side: 'outbound' | 'inbound';
  readonly listen: CheckListenConfig;
  readonly check: UnaryHandler;
  /** Of the attempt door, beside Check on the outbound side. */
  readonly attempt?: {
    readonly process: ProcessHandler;
    readonly feedback: AccessLogServiceDeps;
  };
}

async function createCheckFront(
  { side, listen, check, attempt }: CheckFrontOptions,
  { observer, clock, random, ready }: ListenerDeps,
): Promise<Front> {
  const methods: UnaryMethods = new Map([
    [CHECK_PATH, check],
    [HEALTH_CHECK_PATH, createGrpcHealth(ready)],
  ]);
  const options = { observer, name: side === 'inbound' ? 'check_inbound' : 'check', side, clock };
  if (listen.front === 'node') {
    const { createNodeFront } = await import('../server/node-front.ts');
    return createNodeFront(methods, options);
  }
  return createRawFront(methods, {
    ...options,
    random,
    ...(attempt && {
      exchanges: new Map([[PROCESS_PATH, marked(attempt.process)]]),
      // On the same connections as the attempts: the entry about one is read before the message of the next.
      streams: [createAccessLogService('check', attempt.feedback)],
    }),
    ...(listen.tls ? { tls: listen.tls } : {}),
  });
}

function marked(process: ProcessHandler): Exchange {
  return (metadata) => {
    const mark = metadata.get(MARK);
    const upstream = readUpstream(metadata);
    return (message, call) => process(message, call, mark, upstream);
  };
}

function createXdsFronts(
  listen: readonly XdsListenConfig[],
  secrets: PushedSecrets,
  feedback: AccessLogServiceDeps,
  { observer, clock, random }: ListenerDeps,
): readonly Front[] {
  return listen.map(({ sources }, i) => {
    const name = listen.length === 1 ? 'xds' : `xds[${i}]`;
    return createRawFront(new Map(), {
      ...{ name, observer, clock, random, maxMessageBytes: 1 << 20 },
      // Envoy opens one stream a secret and one a worker's access log.
      maxConcurrentStreams: 10_000,
      streams: [
        ...createSecretDiscovery({ secrets, observer, name, allowedSources: sources }),
        createAccessLogService(name, feedback),
      ],
    });
  });
}
