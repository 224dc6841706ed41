// The inbound door as a whole: from the configuration to the handler of its listener.
import type { Config } from '../../config/config.ts';
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { SourcesInForce } from '../../credential/credential.ts';
import { createInbound, type InboundDeps } from '../../inbound/inbound.ts';
import { verifyTokens } from '../../inbound/verify-tokens.ts';
import type { UnaryHandler } from '../../server/front.ts';
import { createInboundCheck } from './check.ts';
import { createExchanges } from './exchanges.ts';

export interface InboundDoor {
  readonly check: UnaryHandler;
  /** Where exchanged tokens come from, from now on. */
  use(sources: SourcesInForce): void;
  start(): void;
  stop(): void;
  /** What readiness waits for. */
  missing(): readonly string[];
  /** Answer to POST /v1/verify of the admin socket. */
  verify(question: unknown): Promise<object>;
  /** For the admin page. */
  status(): object;
}

export function createInboundDoor(
  { maxWaitMs }: Config,
  config: InboundConfig,
  deps: InboundDeps,
): InboundDoor {
  deps.lasting.kept.begin();
  const inbound = createInbound(config, deps);
  const exchanges = createExchanges(inbound.policies);
  return {
    use: exchanges.use,
    check: createInboundCheck({
      inbound,
      config,
      observer: deps.observer,
      clock: deps.clock,
      kept: deps.lasting.kept,
      exchanges,
      tracer: deps.tracer,
      maxWaitMs,
    }),
    start: () => inbound.start(),
    stop: () => inbound.stop(),
    missing: () => inbound.missing(),
    verify: (question) =>
      verifyTokens(
        inbound,
        config.issuers.map(({ name }) => name),
        question,
      ),
    status: () => ({
      missing: inbound.missing(),
      verifiedTokens: inbound.verifiers.cached.size,
      verifiedTokenBytes: inbound.verifiers.cached.bytes,
      policies: inbound.policies.map(({ name }) => name),
    }),
  };
}
