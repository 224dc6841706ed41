// Authorization/Check: the request as the app sent it, once, before Envoy's router.
import type { SourcesInForce } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Tracer } from '../../lib/trace.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import { GrpcError, GrpcStatus, type UnaryHandler } from '../../server/front.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { createInjection, type InjectionDeps } from '../decision/injection.ts';
import { createPolicyChoice } from '../decision/policy-choice.ts';
import type { CarriedRing } from '../feedback/carried-ring.ts';
import { checkAnswers } from './answer.ts';
import { type CheckRequest, headersToRead, MalformedMessage, parseCheckRequest } from './request.ts';

export const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';

export interface CheckDeps {
  readonly policies: PolicyTable;
  readonly store: SourcesInForce;
  readonly observer: Observer;
  readonly clock: Clock;
  /** Longest wait of a cold Check, milliseconds, also when the caller sent no deadline. */
  readonly maxWaitMs: number;
  readonly carried: CarriedRing;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

export function createCheck(deps: CheckDeps): UnaryHandler {
  const { observer, policies } = deps;
  const names = headersToRead(policies.readHeaders);
  const door: InjectionDeps = {
    ...deps,
    answers: checkAnswers,
    tally: {
      injectionCount: (...policy) => observer.injectionCount(...policy),
      decided: (...decided) => observer.checkDecided(...decided),
      denied: (...denied) => observer.outboundDenied(...denied),
    },
  };
  const policyOf = createPolicyChoice(door);
  const { inject } = createInjection(door);

  return (message, call) => {
    const request = parse(message);
    if (request.otherSide) {
      observer.checkDecided(undefined, 'error', 'unmarked');
      throw new GrpcError(GrpcStatus.PERMISSION_DENIED, 'another side');
    }
    const policy = policyOf(request);
    return policy instanceof Uint8Array ? policy : inject(policy, request, call);
  };

  function parse(message: Uint8Array): CheckRequest {
    try {
      return parseCheckRequest(message, names);
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      observer.checkDecided(undefined, 'error', 'malformed');
      throw new GrpcError(GrpcStatus.INVALID_ARGUMENT, 'malformed CheckRequest');
    }
  }
}
