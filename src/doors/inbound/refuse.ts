// What a refused request is answered, and who is told: the caller its status and a decision id, we the reason under that id.
import { randomBytes } from 'node:crypto';
import type { InboundConfig } from '../../config/inbound/config.ts';
import type { InboundPolicy } from '../../inbound/policy.ts';
import type { RefusalReason } from '../../inbound/refusal.ts';
import { currentSpan } from '../../lib/trace.ts';
import type { Observer } from '../../telemetry/observer.ts';
import { buildRefusal, statusOf } from './answer.ts';
import { refusalHeaders } from './cors.ts';
import type { InboundRequest } from './request.ts';

export interface RefusalDetail {
  /** Of the challenge. */
  readonly parameters?: string;
  readonly retryAfterMs?: number;
  /** Beside the usual ones. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

export type Refuse = (
  request: InboundRequest,
  policy: InboundPolicy | undefined,
  reason: RefusalReason,
  detail?: RefusalDetail,
) => Uint8Array;

export interface RefuseDeps {
  readonly config: InboundConfig;
  readonly observer: Observer;
  /** The answer of a policy in shadow. */
  readonly unchanged: Uint8Array;
  /** Place of `origin` in the headers of a request; -1 = never read. */
  readonly origin: number;
}

export function createRefuse({ config, observer, unchanged, origin }: RefuseDeps): Refuse {
  const nextDecision = decisionIds();

  return (request, policy, reason, detail = {}) => {
    const decision = nextDecision();
    currentSpan()?.end(reason);
    // A side that contradicts the listener is a fault of Envoy's configuration and no caller's.
    const shadow = (policy?.config.mode ?? config.mode) === 'shadow' && reason !== 'side';
    const { method, path, address, values } = request;
    observer.inboundRefused(policy?.name, reason, decision, shadow ? 'shadow' : 'enforce', {
      ...{ method, address, status: statusOf(reason) },
      path: path.split('?', 1)[0]!,
    });
    if (shadow) return unchanged;
    const { parameters = '', retryAfterMs = 0, headers = [] } = detail;
    return buildRefusal({
      ...{ reason, decision, parameters, retryAfterMs },
      realm: config.realm,
      scheme: reason === 'dpop_proof' || policy?.config.bound === 'dpop' ? 'DPoP' : 'Bearer',
      headers: [...headers, ...refusalHeaders(policy?.config.cors, values[origin])],
    });
  };
}

/** Short, unique over restarts, and telling nothing. */
function decisionIds(): () => string {
  const start = randomBytes(5).toString('hex');
  let count = 0;
  return () => `${start}-${(++count).toString(36)}`;
}
