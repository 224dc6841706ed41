// Proofs of possession for one request (RFC 9449, section 4.2): what is the same for all proofs of a token is encoded once.
import { hash, type KeyObject, randomUUID } from 'node:crypto';
import { kindOf, signBytes } from './sign.ts';

export interface DpopKey {
  readonly privateKey: KeyObject;
  /** The public members only. */
  readonly publicJwk: Readonly<Record<string, string>>;
}

export interface DpopRequest {
  readonly method: string;
  /** Scheme, authority and path; query and fragment are not part of it. */
  readonly htu: string;
  /** Epoch ms. */
  readonly now: number;
  /** The last one that this upstream gave. */
  readonly nonce: string | undefined;
}

/** A proof as the value of the header DPoP. Fresh `jti` and `iat` each time. */
export type DpopProver = (request: DpopRequest) => string;

/** Throws a TypeError for a key that is neither on P-256 nor Ed25519. */
export function createDpopProver(key: DpopKey, accessToken: string): DpopProver {
  const kind = kindOf(key.privateKey);
  if (kind === undefined || kind === 'hmac-sha256') {
    throw new TypeError('DPoP needs a key on P-256 or Ed25519');
  }
  const alg = kind === 'ed25519' ? 'EdDSA' : 'ES256';
  const head = base64url(JSON.stringify({ typ: 'dpop+jwt', alg, jwk: key.publicJwk }));
  // Of ASCII (RFC 9449, section 4.2).
  const ath = hash('sha256', accessToken, 'base64url');
  return ({ method, htu, now, nonce }) => {
    const claims = { jti: randomUUID(), htm: method, htu, iat: Math.floor(now / 1000), ath, nonce };
    const signed = `${head}.${base64url(JSON.stringify(claims))}`;
    return `${signed}.${signBytes(kind, key.privateKey, Buffer.from(signed, 'latin1')).toString('base64url')}`;
  };
}

function base64url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}
