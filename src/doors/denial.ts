// Refusals of our own, the same at every door: what the app sees, and why.
import type { CheckReason } from '../telemetry/event-details.ts';

/** Reasons that refuse a request. */
export type DenialReason = Exclude<
  CheckReason,
  'injected' | 'passed_without' | 'malformed' | 'shadow' | 'not_in_percent'
>;

export interface Denial {
  /** HTTP status that the app sees. */
  readonly http: number;
  /** gRPC code inside an answer to Check. */
  readonly grpc: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

const UNAVAILABLE = { http: 503, grpc: 14 } as const;
const DENIALS = {
  unmatched: { http: 403, grpc: 7 },
  unmarked: { http: 403, grpc: 7 },
  // Its policy has the status.
  denied: { http: 403, grpc: 7 },
  plaintext_upstream: { http: 403, grpc: 7 },
  unbound_upstream: { http: 403, grpc: 7 },
  ambiguous_path: { http: 400, grpc: 3 },
  // The app did nothing wrong and may come back: never a 401, which would send it to a login.
  source_timeout: UNAVAILABLE,
  source_unavailable: UNAVAILABLE,
  source_rejected: UNAVAILABLE,
  source_invalid_response: UNAVAILABLE,
  secret_unreadable: UNAVAILABLE,
  store_unavailable: UNAVAILABLE,
  login_required: UNAVAILABLE,
  credential_pending: UNAVAILABLE,
  credential_expired: UNAVAILABLE,
  first_fetch_limited: UNAVAILABLE,
  proof_unavailable: UNAVAILABLE,
  rate_limited: { http: 429, grpc: 8 },
  subject_malformed: { http: 400, grpc: 3 },
  // Here whoever called the app is meant: the subject token that came with the request.
  subject_missing: { http: 401, grpc: 16 },
  subject_rejected: { http: 401, grpc: 16 },
} as const satisfies Record<DenialReason, { http: number; grpc: number }>;

const ERRORS: Readonly<Record<number, string>> = {
  400: 'bad_request',
  401: 'unauthorized',
  403: 'forbidden',
  404: 'not_found',
  410: 'gone',
  429: 'too_many_requests',
  451: 'unavailable_for_legal_reasons',
  503: 'credential_unavailable',
};

/**
 * `retryAfterMs` becomes whole seconds, at least one; only for what may work later. `status` in place of the reason's own, of a
 * policy that denies.
 */
export function denialOf(reason: DenialReason, retryAfterMs: number, status?: number): Denial {
  const { http: own, grpc } = DENIALS[reason];
  const http = status ?? own;
  const headers: [string, string][] = [
    ['content-type', 'application/json'],
    ['x-bearerd-reason', reason],
  ];
  // RFC 9110 section 15.5.2 demands a challenge; its words are RFC 6750's, section 3.
  if (http === 401) headers.push(['www-authenticate', challengeOf(reason)]);
  if (http === 503 || http === 429)
    headers.push(['retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000)))]);
  return { http, grpc, headers, body: `${JSON.stringify({ error: ERRORS[http], reason })}\n` };
}

function challengeOf(reason: DenialReason): string {
  return reason === 'subject_rejected' ? 'Bearer error="invalid_token"' : 'Bearer';
}
