// envoy.service.auth.v3.CheckResponse, encoded. An injecting answer is encoded once per credential; all others are fixed.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Credential } from '../../credential/credential.ts';
import type { Policy } from '../../policy/policy.ts';
import type { CheckReason } from '../../telemetry/observer.ts';
import { tag, writeField, writeHeader } from '../check-response.ts';

/** Reasons that refuse a request, with the HTTP status that the app sees and the gRPC code inside the answer. */
type DenialReason = Exclude<CheckReason, 'injected' | 'passed_without' | 'malformed'>;

const UNAVAILABLE = { http: 503, grpc: 14 } as const;
const DENIALS = {
  unmatched: { http: 403, grpc: 7 },
  unmarked: { http: 403, grpc: 7 },
  ambiguous_path: { http: 400, grpc: 3 },
  // The app did nothing wrong and may come back: never a 401, which would send it to a login.
  source_timeout: UNAVAILABLE,
  source_unavailable: UNAVAILABLE,
  source_rejected: UNAVAILABLE,
  source_invalid_response: UNAVAILABLE,
  secret_unreadable: UNAVAILABLE,
  credential_pending: UNAVAILABLE,
  credential_expired: UNAVAILABLE,
} as const satisfies Record<DenialReason, { http: number; grpc: number }>;

const ERRORS: Readonly<Record<number, string>> = {
  400: 'bad_request',
  403: 'forbidden',
  503: 'credential_unavailable',
};

/** OK, and nothing of the request is touched. */
export const passUntouched: Uint8Array = new BinaryWriter()
  .uint32(tag(1, 2))
  .fork() // status
  .join()
  .uint32(tag(3, 2))
  .fork() // ok_response
  .join()
  .finish();

/** OK, with the app's own header removed: on_failure: pass sends the request without any credential. */
export function buildPassWithout(policy: Policy): Uint8Array {
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().join();
  w.uint32(tag(3, 2)).fork();
  w.uint32(tag(5, 2)).string(policy.header); // OkHttpResponse.headers_to_remove
  w.join();
  return w.finish();
}

/** OK, with the credential in the policy's header instead of whatever the app sent. */
export function buildInjection(policy: Policy, credential: Credential): Uint8Array {
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().join();
  w.uint32(tag(3, 2)).fork();
  writeHeader(w, 2, policy.header, policy.prefix + credential.value.reveal());
  w.join();
  // dynamic_metadata, in namespace envoy.filters.http.ext_authz. One field for both: three of them cost Envoy a quarter of
  // its requests a second (bench: check_envoy_vs_go 0.92, without them 1.24).
  w.uint32(tag(4, 2)).fork();
  writeField(w, 'credential', `${policy.name}/${credential.generation}`);
  w.join();
  return w.finish();
}

/** A refusal of our own. `retryAfterMs` becomes whole seconds, at least one; only for what may work later. */
export function buildDenial(reason: DenialReason, retryAfterMs: number): Uint8Array {
  const { http, grpc } = DENIALS[reason];
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(grpc).join();
  w.uint32(tag(2, 2)).fork(); // denied_response
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(http).join(); // HttpStatus
  writeHeader(w, 2, 'content-type', 'application/json');
  writeHeader(w, 2, 'x-bearerd-reason', reason);
  if (http === 503) writeHeader(w, 2, 'retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  w.uint32(tag(3, 2)).string(`${JSON.stringify({ error: ERRORS[http], reason })}\n`);
  w.join();
  return w.finish();
}
