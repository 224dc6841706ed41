// ExternalProcessor/Process in the upstream filter chain: every attempt of a request, request headers only. The first one
// is decided as a Check is. A later one waits until it is known why the one before failed, since the credential may have
// been refused, and then carries a new one: the app sees no refusal.
import type { SourcesInForce, Subject } from '../../credential/credential.ts';
import { keyOf } from '../../credential/subject.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Tracer } from '../../lib/trace.ts';
import type { Policy, PolicyTable } from '../../policy/policy.ts';
import type { SigningKeys } from '../../proof/signing-keys.ts';
import { GrpcError, GrpcStatus, type UnaryCall } from '../../server/front.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { createInjection, type InjectionDeps } from '../decision/injection.ts';
import { createPolicyChoice } from '../decision/policy-choice.ts';
import type { AttemptOutcomes, Outcome } from '../feedback/attempt-outcomes.ts';
import type { CarriedRing } from '../feedback/carried-ring.ts';
import type { Nonces } from '../feedback/nonces.ts';
import { requestKey } from '../feedback/request-key.ts';
import { MalformedMessage } from '../wire.ts';
import { createAttemptAnswers } from './answer.ts';
import { createProofs } from './proofs.ts';
import { type AttemptRequest, headersOf, parseAttemptRequest, signedHeaders } from './request.ts';
import { createUpstreamGuard, UNTOLD, type Upstream } from './upstream.ts';

export const PROCESS_PATH = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';

/** For the log entry of the attempt before, which is on its way on the same connection. */
export const EVIDENCE_MS = 50;

export interface ProcessDeps {
  readonly policies: PolicyTable;
  readonly store: SourcesInForce;
  readonly observer: Observer;
  readonly clock: Clock;
  /** Longest wait for a credential, milliseconds. Envoy's message_timeout has to be longer, and does not tell itself. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
  readonly outcomes: AttemptOutcomes;
  readonly nonces: Nonces;
  /** Clusters without TLS, as was learned; outlives the configuration. */
  readonly plainClusters: Set<string>;
  readonly keys: SigningKeys;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

/** What the attempt before this one put on the request. */
interface Carried {
  readonly subject: Subject | undefined;
  /** undefined: none that is current. */
  readonly generation: number | undefined;
}

/** `mark`: value of the metadata MARK. */
export type ProcessHandler = (
  message: Uint8Array,
  call: UnaryCall,
  mark: string | undefined,
  upstream?: Upstream,
) => Uint8Array | Promise<Uint8Array>;

export function createProcess(deps: ProcessDeps): ProcessHandler {
  const { policies, store, observer, clock, maxWaitMs, outcomes } = deps;
  const door: InjectionDeps = {
    ...deps,
    answers: createAttemptAnswers(createProofs(deps)),
    tally: {
      injectionCount: (...policy) => observer.attemptInjectionCount(...policy),
      decided: (...decided) => observer.attemptDecided(...decided),
      denied: (...denied) => observer.outboundDenied(...denied),
    },
  };
  const policyOf = createPolicyChoice(door);
  const injection = createInjection(door);
  const injected = policies.policies.flatMap(({ injection: { headers } }) => headers.map(({ name }) => name));
  const signed = policies.policies.flatMap(({ proof }) => signedHeaders(proof));
  const guard = createUpstreamGuard(policies, deps.plainClusters);
  const headers = headersOf([...new Set([...injected, ...policies.readHeaders, ...signed])]);

  return (message, call, mark, upstream = UNTOLD) => {
    const request = parse(message, mark);
    const policy = policyOf(request);
    if (policy instanceof Uint8Array) return policy;
    const leak = guard.refusal(policy, upstream, request);
    if (leak !== undefined) return injection.withhold(policy, leak);
    if (request.attempt === 1) return injection.inject(policy, request, call);
    const carried = carriedBy(policy, request);
    if (carried === 'unknown') return injection.deny(policy, request, 'credential_expired', 0);
    // A nonce is learned also where refusals renew nothing.
    if (policy.healOn === 'off' && policy.proof?.dpop !== true) {
      return unchanged(carried, policy, request, call);
    }
    const outcome = outcomes.ask(request, EVIDENCE_MS);
    if (outcome instanceof Promise) request.waitingSince = clock.monotonic();
    return outcome instanceof Promise
      ? outcome.then((late) => again(carried, late, policy, request, call))
      : again(carried, outcome, policy, request, call);
  };

  /** Headers are as the attempt before left them: the credential is there, and a subject token is gone. */
  function carriedBy(policy: Policy, request: AttemptRequest): Carried | 'unknown' {
    const value = valueCarried(policy, request);
    if (policy.subject !== undefined) {
      // Never taken for a subject token: it is what one was exchanged for.
      return (value === undefined ? undefined : store.subjectOf(policy.source, keyOf(value))) ?? 'unknown';
    }
    const current = injection.current(policy);
    const isCurrent = current !== undefined && current.value.reveal() === value;
    return { subject: undefined, generation: isCurrent ? current.generation : undefined };
  }

  function again(
    { subject, generation }: Carried,
    outcome: Outcome | undefined,
    policy: Policy,
    request: AttemptRequest,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array> {
    if (outcome === undefined) observer.feedbackLate(policy.name);
    const current = injection.current(policy, subject?.key);
    if (outcome !== 'refused' || current === undefined || current.generation !== generation) {
      return unchanged({ subject, generation }, policy, request, call);
    }
    const { requestId, host, method, path } = request;
    const forced = store.refused(policy.source, generation, requestKey(requestId, host, method, path));
    // Over the limits: the app gets to see the refusal.
    if (forced === 'limited' || forced === 'refused_for_good') {
      return unchanged({ subject, generation }, policy, request, call);
    }
    const renewed = () => store.after(policy.source, generation, maxWaitMs, call.signal, subject);
    return injection.injectWhen(renewed, policy, request, subject?.key);
  }

  /** With what is current now. */
  function unchanged(
    { subject }: Carried,
    policy: Policy,
    request: AttemptRequest,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array> {
    return subject === undefined
      ? injection.inject(policy, request, call)
      : injection.injectFor(subject, policy, request, call);
  }

  function parse(message: Uint8Array, mark: string | undefined): AttemptRequest {
    try {
      return parseAttemptRequest(message, headers, mark);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      observer.attemptDecided(undefined, 'error', 'malformed');
      throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed ProcessingRequest');
    }
  }
}

/** The credential that every header of the policy stands for; undefined = none, or not the same in all. */
function valueCarried({ injection }: Policy, request: AttemptRequest): string | undefined {
  const [first] = injection.headers;
  const text = first === undefined ? undefined : request.header(first.name);
  const value = text === undefined ? undefined : first!.credentialIn(text);
  if (value === undefined) return undefined;
  return injection.headers.every((header) => request.header(header.name) === header.valueOf(value))
    ? value
    : undefined;
}
