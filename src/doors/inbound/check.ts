// Authorization/Check for incoming requests. That of a token seen before is synchronous from the first byte to the last;
// every rule runs again, and the answer was encoded when the token was last let in by the same policy.
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { ApiKey } from '../../inbound/api-keys.ts';
import type { Denial, Inbound } from '../../inbound/inbound.ts';
import type { Kept } from '../../inbound/kept.ts';
import type { RefusalReason } from '../../inbound/refusal.ts';
import type { VerifiedToken } from '../../inbound/verified-token.ts';
import { VerifiedTokens } from '../../inbound/verified-tokens.ts';
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import { TokenBucket } from '../../lib/token-bucket.ts';
import { currentSpan, type Tracer, within } from '../../lib/trace.ts';
import { createRouteTable } from '../../policy/route-table.ts';
import { GrpcError, GrpcStatus, type UnaryHandler } from '../../server/front.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { waitWithin } from '../deadline.ts';
import { createAccept } from './accept.ts';
import { fromForwarded, fromPeer } from './client-certificate.ts';
import { answerPreflight, preflightOf } from './cors.ts';
import { type Presented, presentedCredential } from './credential.ts';
import type { Exchanges } from './exchanges.ts';
import { createForwarding } from './forwarded.ts';
import { headerNames } from './header-names.ts';
import { createProofs, DPOP_PARAMETERS, type Sender } from './proofs.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRefuse } from './refuse.ts';
import { createInboundReader, type InboundRequest, MalformedMessage } from './request.ts';

export interface InboundCheckDeps {
  readonly inbound: Inbound;
  readonly config: InboundConfig;
  readonly observer: Observer;
  readonly clock: Clock;
  readonly kept: Kept;
  readonly exchanges: Exchanges;
  /** undefined = no spans. */
  readonly tracer: Tracer | undefined;
  /** Longest wait for keys of an issuer and an exchanged token, milliseconds. */
  readonly maxWaitMs: number;
}

/** When keys of an issuer are missing. */
const RETRY_MS = 2_000;

export function createInboundCheck(deps: InboundCheckDeps): UnaryHandler {
  const { inbound, config, observer, clock, kept, exchanges, tracer, maxWaitMs } = deps;
  const { policies, verifiers, apiKeys } = inbound;
  const names = headerNames(config, tracer !== undefined);
  const position = (name: string) => names.indexOf(name);
  const AUTHORIZATION = position('authorization');
  const ORIGIN = position('origin');
  const REQUESTED_METHOD = position('access-control-request-method');
  const FORWARDED_FOR = position('x-forwarded-for');
  const FORWARDED_CERTIFICATE = position('x-forwarded-client-cert');
  const API_KEY = config.apiKeys === undefined ? -1 : position(config.apiKeys.header);
  const parseRequest = createInboundReader(names);
  const routes = createRouteTable(
    policies.map((policy) => ({ policy, match: policy.config.match })),
    'deny_always',
  );
  const attempts = policies.map(({ name }) =>
    kept.of(
      JSON.stringify(['attempts', name, config.failedAttempts]),
      () => new TokenBucket(config.failedAttempts, clock.monotonic()),
    ),
  );
  const limits = createRateLimits(policies, position, kept, clock);
  const proofs = createProofs(position, inbound);
  const forwarding = createForwarding(config);
  const accept = createAccept({ config, policies, observer, forwarding, origin: ORIGIN });
  const refuse = createRefuse({ config, observer, unchanged: forwarding.unchanged, origin: ORIGIN });

  return (message, call) => {
    // 1. What is asked, and whether the route says that it is ours.
    const request = parse(message);
    if (request.side !== undefined && request.side !== 'inbound') return refuse(request, undefined, 'side');
    // 2. Which policy.
    const origin = request.values[ORIGIN];
    const preflight = preflightOf(request.method, origin, request.values[REQUESTED_METHOD]);
    const policy = routes.match(
      request.host,
      preflight?.method ?? request.method,
      request.path,
      request.scheme,
    );
    if (policy === 'ambiguous_path') return refuse(request, undefined, 'ambiguous_path');
    if (policy === undefined) return refuse(request, undefined, 'unmatched');
    if (request.policy !== undefined && request.policy !== policy.name)
      return refuse(request, policy, 'side');
    if (preflight !== undefined && policy.config.cors !== undefined && policy.config.mode === 'enforce') {
      return answerPreflight(policy.config.cors, preflight) ?? refuse(request, policy, 'unmatched');
    }
    // 3. Where it comes from.
    if (policy.config.requireTls && !request.tls) return refuse(request, policy, 'plaintext');
    if (policy.config.networks !== undefined && !policy.isFromNetwork(addressOf(request))) {
      return refuse(request, policy, 'network');
    }
    const certificate =
      config.clientCertificate === 'xfcc'
        ? fromForwarded(request.values[FORWARDED_CERTIFICATE])
        : fromPeer(request.principal, request.certificate);
    if (policy.config.peers !== undefined && !policy.isPeer(certificate.uris))
      return refuse(request, policy, 'peer');
    // 4. Who it is.
    if (policy.config.anonymous) {
      return prove(
        { request, policy, certificate, scheme: 'Bearer', token: '', key: '', call, until: undefined },
        undefined,
      );
    }
    const presented = presentedCredential(
      request.values[AUTHORIZATION],
      request.counts[AUTHORIZATION]!,
      // Where keys do not count, the header is the app's own affair, and goes as everywhere.
      policy.config.apiKeys ? request.values[API_KEY] : undefined,
      policy.config.apiKeys ? request.counts[API_KEY]! : 0,
    );
    const isToken = typeof presented === 'object' && presented.kind === 'token';
    const scheme = isToken ? presented.scheme : 'Bearer';
    const token = isToken ? presented.value : '';
    const key = isToken ? VerifiedTokens.keyOf(token) : '';
    const answer = authenticate(
      { request, policy, certificate, scheme, token, key, call, until: undefined },
      presented,
    );
    if (policy.config.mode === 'enforce' || answer instanceof Uint8Array) return answer;
    // In shadow nobody waits for a verdict that changes nothing.
    answer.catch((error: unknown) => observer.unexpected('inbound shadow', error));
    return forwarding.unchanged;
  };

  function parse(message: Uint8Array): InboundRequest {
    try {
      return parseRequest(message);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed CheckRequest');
    }
  }

  function authenticate(sender: Sender, presented: Presented): Uint8Array | Promise<Uint8Array> {
    const { policy, request } = sender;
    if (typeof presented === 'string') return refuse(request, policy, presented);
    if (presented.kind === 'api_key') {
      const key = policy.config.apiKeys ? apiKeys.find(presented.value) : undefined;
      if (key === undefined || !key.active) return fail(sender, 'api_key');
      return decide(sender, key.token, key);
    }
    const token = verifiers.peek(sender.key, policy.issuers);
    return token === undefined ? traced(sender, () => cold(sender)) : decide(sender, token, undefined);
  }

  /** What is waited for is one span of the caller's trace. */
  function traced(sender: Sender, work: () => Promise<Uint8Array>): Promise<Uint8Array> {
    if (tracer === undefined || currentSpan() !== undefined) return work();
    const { policy, request } = sender;
    const header = (name: string) => request.values[position(name)];
    const span = tracer.start('bearerd.inbound', { 'bearerd.policy': policy.name }, header);
    return within(span, work).finally(() => span.end());
  }

  /** How long its answer may wait yet, from when it first had to. A warm one never asks. */
  function remainingMs(sender: Sender): number {
    const now = clock.monotonic();
    sender.until ??= now + waitWithin(maxWaitMs, sender.call.timeoutMs);
    return sender.until - now;
  }

  async function cold(sender: Sender): Promise<Uint8Array> {
    const { policy, request, token, key } = sender;
    const waitMs = attempts[policy.index]!.waitMs(clock.monotonic());
    if (waitMs > 0) return refuse(request, policy, 'attempts_limited', { retryAfterMs: waitMs });
    let stopWaiting = (): void => {};
    const timeout = new Promise<'keys_unavailable'>((resolve) => {
      const timer = clock.setTimer(() => resolve('keys_unavailable'), remainingMs(sender));
      stopWaiting = () => timer.cancel();
    });
    const verdict = await Promise.race([verifiers.verify(token, key, policy.issuers), timeout]);
    stopWaiting();
    if (typeof verdict === 'object') return decide(sender, verdict, undefined);
    if (verdict === 'keys_unavailable') return refuse(request, policy, verdict, { retryAfterMs: RETRY_MS });
    return fail(sender, verdict);
  }

  /** The rules, for every request anew. */
  function decide(
    sender: Sender,
    token: VerifiedToken,
    key: ApiKey | undefined,
  ): Uint8Array | Promise<Uint8Array> {
    const { policy, request } = sender;
    const denial: Denial | undefined = inbound.refusal(policy, token);
    if (denial !== undefined)
      return refuse(request, policy, denial.reason, { parameters: denial.parameters });
    if (key?.bucket !== undefined) {
      const waitMs = key.bucket.take(clock.monotonic());
      if (waitMs > 0) return refuse(request, policy, 'rate_limited', { retryAfterMs: waitMs });
    }
    return prove(sender, token);
  }

  /** What the sender has to prove of itself; only a proof takes time. */
  function prove(sender: Sender, token: VerifiedToken | undefined): Uint8Array | Promise<Uint8Array> {
    const found = proofs.refusal(sender, token);
    if (found === undefined) return admit(sender, token);
    if (typeof found === 'string') return refuse(sender.request, sender.policy, found);
    remainingMs(sender); // What the proof takes counts.
    return found.then((reason) => {
      if (reason === undefined) return admit(sender, token);
      if (reason === 'dpop_proof') return fail(sender, reason, DPOP_PARAMETERS);
      return fail(sender, reason);
    });
  }

  /** Charged last: only what would be let in counts. */
  function admit(sender: Sender, token: VerifiedToken | undefined): Uint8Array | Promise<Uint8Array> {
    const { policy, request } = sender;
    const limited = limits.take(policy, request, token);
    if (limited !== undefined) {
      return refuse(request, policy, 'rate_limited', {
        retryAfterMs: limited.waitMs,
        headers: limited.headers,
      });
    }
    if (token === undefined || typeof policy.config.token !== 'object') return accept(sender, token);
    const exchanged = exchanges.peek(sender);
    if (exchanged !== undefined) return accept(sender, token, exchanged);
    return traced(sender, () => exchange(sender, token));
  }

  async function exchange(sender: Sender, token: VerifiedToken): Promise<Uint8Array> {
    const { policy, request } = sender;
    try {
      const exchanged = await exchanges.get(sender, remainingMs(sender));
      // It took its time, in which the caller's own token may have ended or been revoked.
      const denial = inbound.refusal(policy, token);
      if (denial === undefined) return accept(sender, token, exchanged);
      return refuse(request, policy, denial.reason, { parameters: denial.parameters });
    } catch (error) {
      if (!(error instanceof CredentialError)) throw error;
      const reason = error.code === 'subject_rejected' ? 'exchange_rejected' : 'exchange_unavailable';
      return refuse(request, policy, reason, { retryAfterMs: exchanges.retryAfterMs(sender) });
    }
  }

  /** A failed attempt: counted against what the policy verifies. */
  function fail({ policy, request }: Sender, reason: RefusalReason, parameters = ''): Uint8Array {
    attempts[policy.index]!.take(clock.monotonic());
    return refuse(request, policy, reason, { parameters });
  }

  /** Each trusted proxy appended whom it saw; Envoy appended the last of them (use_remote_address). */
  function addressOf({ address, values }: InboundRequest): string {
    if (config.trustedHops === 0) return address;
    const seen = (values[FORWARDED_FOR] ?? '').split(',').map((part) => part.trim());
    return seen[seen.length - 1 - config.trustedHops] ?? '';
  }
}
