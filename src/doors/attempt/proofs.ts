// Headers that prove an attempt to its upstream, made anew for each: a DPoP proof, an HTTP message signature, or both.
import { randomUUID } from 'node:crypto';
import type { Credential } from '../../credential/credential.ts';
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import { cutQuery } from '../../policy/path.ts';
import type { Policy } from '../../policy/policy.ts';
import { createDpopProver, type DpopProver } from '../../proof/dpop.ts';
import { signMessage } from '../../proof/message-signature.ts';
import type { SigningKeys } from '../../proof/signing-keys.ts';
import type { Asked } from '../decision/door.ts';
import type { Nonces } from '../feedback/nonces.ts';

export type Header = readonly [name: string, value: string];

export interface ProofsDeps {
  readonly keys: SigningKeys;
  readonly nonces: Nonces;
  readonly clock: Clock;
}

export interface Proofs {
  /**
   * Beside `injected`, which is signed as it will be sent. Throws CredentialError proof_unavailable: an attempt that cannot
   * be proved does not leave.
   */
  headersFor(policy: Policy, credential: Credential, request: Asked, injected: readonly Header[]): Header[];
}

export function createProofs({ keys, nonces, clock }: ProofsDeps): Proofs {
  const provers = new WeakMap<Credential, DpopProver>();

  function proverOf(credential: Credential): DpopProver {
    const known = provers.get(credential);
    if (known !== undefined) return known;
    const { proofKey, value } = credential;
    if (proofKey === undefined) throw unavailable('the credential has no key to prove it with');
    const prover = createDpopProver(proofKey, value.reveal());
    provers.set(credential, prover);
    return prover;
  }

  return {
    headersFor({ name, proof }, credential, request, injected) {
      const headers: Header[] = [];
      if (proof === undefined) return headers;
      const { upstreamUrl, dpop, sign } = proof;
      const { method, path } = request;
      const now = clock.now();
      if (dpop) {
        const htu = upstreamUrl + cutQuery(path);
        const nonce = nonces.of(upstreamUrl);
        headers.push(['dpop', proverOf(credential)({ method, htu, now, nonce })]);
      }
      if (sign !== undefined) {
        const key = keys.of(name);
        if (key === undefined) throw unavailable('there is no key to sign with');
        const sent = new Map([...injected, ...headers]);
        const { signatureInput, signature } = signMessage(key, sign, {
          method,
          origin: upstreamUrl,
          path,
          header: (header) => sent.get(header) ?? request.header(header),
          now,
          nonce: randomUUID(),
        });
        headers.push(['signature-input', signatureInput], ['signature', signature]);
      }
      return headers;
    },
  };
}

function unavailable(message: string): CredentialError {
  return new CredentialError('proof_unavailable', message, { retryable: true });
}
