// envoy.service.ext_proc.v3.ProcessingResponse, encoded. An injecting answer is encoded once per credential.
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Credential } from '../../credential/credential.ts';
import type { Policy } from '../../policy/policy.ts';
import { tag, writeRawHeader } from '../check-response.ts';
import type { Answers } from '../decision/door.ts';
import { type DenialReason, denialOf } from '../denial.ts';
import type { Header, Proofs } from './proofs.ts';

/** ProcessingResponse { request_headers = 1: HeadersResponse { response = 1: CommonResponse } } */
function continued(write: (w: BinaryWriter) => void): Uint8Array {
  const w = new BinaryWriter();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 2)).fork();
  write(w);
  w.join().join();
  return w.finish();
}

const passUntouched = continued(() => {});

/** Headers set in place of whatever the attempt carries, and headers taken away. */
function mutation(set: readonly Header[], removed: readonly string[]): Uint8Array {
  return continued((w) => {
    w.uint32(tag(2, 2)).fork(); // header_mutation
    for (const [name, value] of set) writeRawHeader(w, 1, name, value); // set_headers
    for (const name of removed) w.uint32(tag(2, 2)).string(name); // remove_headers
    w.join();
  });
}

function passWithout(policy: Policy): Uint8Array {
  return mutation([], [...policy.injection.headers.map(({ name }) => name), ...policy.removes]);
}

function injection(policy: Policy, credential: Credential): Uint8Array {
  return mutation(injected(policy, credential), policy.removes);
}

function injected({ injection: { headers } }: Policy, credential: Credential): readonly Header[] {
  const value = credential.value.reveal();
  return headers.map((header) => [header.name, header.valueOf(value)]);
}

/** immediate_response = 7: ImmediateResponse { status = 1, headers = 2, body = 3, details = 5 } */
function denial(reason: DenialReason, retryAfterMs: number, status?: number): Uint8Array {
  const { http, headers, body } = denialOf(reason, retryAfterMs, status);
  const w = new BinaryWriter();
  w.uint32(tag(7, 2)).fork();
  w.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int32(http).join();
  w.uint32(tag(2, 2)).fork();
  for (const [name, value] of headers) writeRawHeader(w, 1, name, value);
  w.join();
  w.uint32(tag(3, 2)).string(body);
  w.uint32(tag(5, 2)).string(`bearerd_${reason}`);
  w.join();
  return w.finish();
}

export function createAttemptAnswers(proofs: Proofs): Answers {
  return {
    passUntouched,
    passWithout,
    injection,
    proven(policy, credential, request) {
      const headers = injected(policy, credential);
      const proof = proofs.headersFor(policy, credential, request, headers);
      return mutation([...headers, ...proof], policy.removes);
    },
    denial,
  };
}
