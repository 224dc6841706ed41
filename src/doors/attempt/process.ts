// ExternalProcessor/Process in the upstream filter chain: every attempt of a request, request headers only. The first one
// is decided as a Check is. A later one waits until it is known why the one before failed, since the credential may have
// been refused, and then carries a new one: the app sees no refusal.
import type { Credential, CredentialStore } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Policy, PolicyTable } from '../../policy/policy.ts';
import { GrpcError, GrpcStatus, type UnaryCall, type UnaryHandler } from '../../server/front.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { createDecision } from '../decision.ts';
import type { AttemptOutcomes, Outcome } from '../feedback/attempt-outcomes.ts';
import type { CarriedRing } from '../feedback/carried-ring.ts';
import { requestKey } from '../feedback/request-key.ts';
import { MalformedMessage } from '../wire.ts';
import { attemptAnswers } from './answer.ts';
import { type AttemptRequest, headersOf, parseAttemptRequest } from './request.ts';

export const PROCESS_PATH = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';

/** For the log entry of the attempt before, which is on its way on the same connection. */
export const EVIDENCE_MS = 50;

export interface ProcessDeps {
  readonly policies: PolicyTable;
  readonly store: CredentialStore;
  readonly observer: Observer;
  readonly clock: Clock;
  /** Longest wait for a credential, milliseconds. Envoy's message_timeout has to be longer, and does not tell itself. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
  readonly outcomes: AttemptOutcomes;
}

export function createProcess(deps: ProcessDeps): UnaryHandler {
  const { policies, store, observer, maxWaitMs, outcomes } = deps;
  const decision = createDecision({
    ...deps,
    answers: attemptAnswers,
    tally: {
      injectionCount: (policy) => observer.attemptInjectionCount(policy),
      decided: (policy, what, reason) => observer.attemptDecided(policy, what, reason),
    },
  });
  const injected = policies.policies.flatMap(({ injection }) => injection.headers.map(({ name }) => name));
  const headers = headersOf([...new Set([...injected, ...policies.readHeaders])]);

  return (message, call) => {
    const request = parse(message);
    const policy = decision.policyOf(request);
    if (policy instanceof Uint8Array) return policy;
    if (request.attempt <= 1 || policy.healOn === 'off') return decision.inject(policy, request, call);
    const outcome = outcomes.ask(request, EVIDENCE_MS);
    return outcome instanceof Promise
      ? outcome.then((late) => again(policy, request, late, call))
      : again(policy, request, outcome, call);
  };

  function again(
    policy: Policy,
    request: AttemptRequest,
    outcome: Outcome | undefined,
    call: UnaryCall,
  ): Uint8Array | Promise<Uint8Array> {
    if (outcome === undefined) observer.feedbackLate(policy.name);
    // The header is as the attempt before left it: another value there is not the one to be renewed.
    const refused = outcome === 'refused' ? decision.current(policy) : undefined;
    if (refused === undefined || !carries(request, policy, refused)) {
      return decision.inject(policy, request, call);
    }
    const { requestId, host, method, path } = request;
    const forced = store.refused(
      policy.source,
      refused.generation,
      requestKey(requestId, host, method, path),
    );
    // Over the limits: the app gets to see the refusal.
    if (forced === 'limited' || forced === 'refused_for_good') {
      return decision.inject(policy, request, call);
    }
    const renewed = store.after(policy.source, refused.generation, maxWaitMs, call.signal);
    return decision.injectWhen(renewed, policy, request);
  }

  function parse(message: Uint8Array): AttemptRequest {
    try {
      return parseAttemptRequest(message, headers);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      observer.attemptDecided(undefined, 'error', 'malformed');
      throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed ProcessingRequest');
    }
  }
}

/** Whether every header of the policy stands as it was injected with this credential. */
function carries(request: AttemptRequest, { injection }: Policy, credential: Credential): boolean {
  const value = credential.value.reveal();
  return injection.headers.every((header) => request.header(header.name) === header.valueOf(value));
}
