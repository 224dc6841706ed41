// envoy.service.auth.v3.CheckResponse for incoming requests, encoded. What a caller learns of a refusal is its status,
// the error of RFC 6750 and a decision id; why exactly stands in our log under that id.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { RefusalReason } from '../../inbound/refusal.ts';
import type { Secret } from '../../lib/secret.ts';
import { BackWriter } from '../back-writer.ts';
import { appendHeader, tag, writeHeader, writeHeaderBack } from '../check-response.ts';

interface Refused {
  readonly http: number;
  /** Of RFC 6750 section 3.1 where there is a challenge; else our own. */
  readonly error: string;
  readonly challenge: boolean;
}

const INVALID_TOKEN = { http: 401, error: 'invalid_token', challenge: true } as const;
const INSUFFICIENT = { http: 403, error: 'insufficient_scope', challenge: true } as const;
const FORBIDDEN = { http: 403, error: 'forbidden', challenge: false } as const;
const UNAVAILABLE = { http: 503, error: 'temporarily_unavailable', challenge: false } as const;
const LIMITED = { http: 429, error: 'too_many_requests', challenge: false } as const;

const REFUSED: Readonly<Record<RefusalReason, Refused>> = {
  no_credential: { http: 401, error: 'unauthorized', challenge: true },
  credential_form: INVALID_TOKEN,
  token_malformed: INVALID_TOKEN,
  token_algorithm: INVALID_TOKEN,
  token_type: INVALID_TOKEN,
  token_issuer: INVALID_TOKEN,
  token_key: INVALID_TOKEN,
  token_signature: INVALID_TOKEN,
  token_expired: INVALID_TOKEN,
  token_not_yet_valid: INVALID_TOKEN,
  token_audience: INVALID_TOKEN,
  token_inactive: INVALID_TOKEN,
  token_revoked: INVALID_TOKEN,
  token_binding: INVALID_TOKEN,
  dpop_proof: { http: 401, error: 'invalid_dpop_proof', challenge: true },
  api_key: INVALID_TOKEN,
  signature: INVALID_TOKEN,
  exchange_rejected: INVALID_TOKEN,
  step_up: { http: 401, error: 'insufficient_user_authentication', challenge: true },
  scope: INSUFFICIENT,
  permission: INSUFFICIENT,
  claim: INSUFFICIENT,
  peer: FORBIDDEN,
  network: FORBIDDEN,
  plaintext: FORBIDDEN,
  unmatched: FORBIDDEN,
  side: FORBIDDEN,
  ambiguous_path: { http: 400, error: 'bad_request', challenge: false },
  rate_limited: LIMITED,
  attempts_limited: LIMITED,
  keys_unavailable: UNAVAILABLE,
  exchange_unavailable: UNAVAILABLE,
  revocation_unknown: UNAVAILABLE,
};

const GRPC_CODES: Readonly<Record<number, number>> = { 400: 3, 401: 16, 403: 7, 429: 8, 503: 14 };

export interface Refusal {
  readonly reason: RefusalReason;
  readonly decision: string;
  readonly realm: string;
  /** `Bearer`, or `DPoP` where the policy wants one. */
  readonly scheme: 'Bearer' | 'DPoP';
  /** Of the challenge beside realm and error, each with its comma before it. */
  readonly parameters: string;
  /** For 429 and 503; becomes whole seconds, at least one. */
  readonly retryAfterMs: number;
  /** Beside the usual ones. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export function statusOf(reason: RefusalReason): number {
  return REFUSED[reason].http;
}

export function buildRefusal(refusal: Refusal): Uint8Array {
  const { http, error, challenge } = REFUSED[refusal.reason];
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(GRPC_CODES[http]!).join();
  w.uint32(tag(2, 2)).fork(); // denied_response
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(http).join(); // HttpStatus
  writeHeader(w, 2, 'content-type', 'application/json');
  writeHeader(w, 2, 'x-bearerd-decision', refusal.decision);
  if (challenge) writeHeader(w, 2, 'www-authenticate', challengeText(refusal, error));
  if (http === 429 || http === 503) {
    writeHeader(w, 2, 'retry-after', String(Math.max(1, Math.ceil(refusal.retryAfterMs / 1_000))));
  }
  for (const [name, value] of refusal.headers) writeHeader(w, 2, name, value);
  w.uint32(tag(3, 2)).string(`${JSON.stringify({ error, decision: refusal.decision })}\n`);
  w.join();
  return w.finish();
}

// RFC 6750 section 3: without a credential no error is named.
function challengeText({ reason, realm, scheme, parameters }: Refusal, error: string): string {
  const named = reason === 'no_credential' ? '' : `, error="${error}"`;
  return `${scheme} realm="${realm}"${named}${parameters}`;
}

export interface Acceptance {
  /** Set in place of what the caller sent. */
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly remove: readonly string[];
  /** Put on the answer of the upstream. */
  readonly response: readonly (readonly [name: string, value: string])[];
}

export function buildAcceptance(acceptance: Acceptance): Uint8Array {
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().join();
  w.uint32(tag(3, 2)).bytes(buildOkResponse(acceptance));
  return w.finish();
}

/** OkHttpResponse alone, for withBearer(). */
export function buildOkResponse({ set, remove, response }: Acceptance): Uint8Array {
  const w = new BinaryWriter();
  for (const [name, value] of set) writeHeader(w, 2, name, value);
  for (const name of remove) w.uint32(tag(5, 2)).string(name);
  // Vary is the app's too.
  for (const [name, value] of response) (name === 'vary' ? appendHeader : writeHeader)(w, 6, name, value);
  return w.finish();
}

const writer = new BackWriter();

/** OK with all of `okResponse`, and this token in place of the caller's. */
export function withBearer(okResponse: Uint8Array, token: Secret): Uint8Array {
  const w = writer;
  w.reset();
  writeHeaderBack(w, 2, 'authorization', `Bearer ${token.reveal()}`);
  w.raw(okResponse);
  w.open(3, 0);
  w.open(1, w.end());
  return w.finish();
}

/** An answer of our own that is no refusal: of a CORS preflight. Envoy takes every status that is not OK for one. */
export function buildOwnAnswer(
  status: number,
  headers: readonly (readonly [name: string, value: string])[],
): Uint8Array {
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(GRPC_CODES[403]!).join();
  w.uint32(tag(2, 2)).fork();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(status).join();
  for (const [name, value] of headers) writeHeader(w, 2, name, value);
  w.join();
  return w.finish();
}
