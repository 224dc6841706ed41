// The listeners of one process, from their addresses. They outlive a configuration: what they ask is exchanged behind them.
import type { CheckListenConfig, XdsListenConfig } from '../config/config.ts';
import { PROCESS_PATH, type ProcessHandler } from '../doors/attempt/process.ts';
import { MARK } from '../doors/attempt/request.ts';
import { CHECK_PATH } from '../doors/check/check.ts';
import { type AccessLogServiceDeps, createAccessLogService } from '../doors/feedback/access-log-service.ts';
import type { PushedSecrets } from '../doors/push/pushed-secrets.ts';
import type { Clock } from '../lib/clock.ts';
import type { Exchange, Front, UnaryHandler, UnaryMethods } from '../server/front.ts';
import { createGrpcHealth, HEALTH_CHECK_PATH } from '../server/grpc-health.ts';
import { createRawFront } from '../server/raw-front.ts';
import type { Observer } from '../telemetry/observer.ts';

export interface ListenerDeps {
  readonly observer: Observer;
  readonly clock: Clock;
  /** [0, 1), for jitter. */
  readonly random: () => number;
  /** For grpc.health.v1. */
  readonly ready: () => boolean;
}

export interface CheckFrontOptions {
  readonly side: 'outbound' | 'inbound';
  readonly listen: CheckListenConfig;
  readonly check: UnaryHandler;
  /** Of the attempt door, beside Check on the outbound side. */
  readonly attempt?: {
    readonly process: ProcessHandler;
    readonly feedback: Omit<AccessLogServiceDeps, 'name'>;
  };
}

export async function createCheckFront(
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
      streams: [createAccessLogService({ ...attempt.feedback, name: 'check' })],
    }),
    ...(listen.tls ? { tls: listen.tls } : {}),
  });
}

function marked(process: ProcessHandler): Exchange {
  return (metadata) => {
    const mark = metadata.get(MARK);
    return (message, call) => process(message, call, mark);
  };
}

/** grpc-js is 17 MB of resident memory (measured): loaded only where the push door or feedback is configured. */
export async function createXdsFronts(
  listen: readonly XdsListenConfig[],
  secrets: PushedSecrets,
  feedback: Omit<AccessLogServiceDeps, 'name'>,
  { observer, clock }: ListenerDeps,
): Promise<readonly Front[]> {
  if (listen.length === 0) return [];
  const [{ createStreamServer }, { createSecretDiscovery }] = await Promise.all([
    import('../server/grpc-js.ts'),
    import('../doors/push/secret-discovery.ts'),
  ]);
  return listen.map(({ sources }, i) => {
    const name = listen.length === 1 ? 'xds' : `xds[${i}]`;
    return createStreamServer({
      name,
      observer,
      clock,
      methods: [
        ...createSecretDiscovery({ secrets, observer, name, allowedSources: sources }),
        createAccessLogService({ ...feedback, name }),
      ],
    });
  });
}
