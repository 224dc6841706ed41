// Signatures over bytes, at once: a proof is made while Envoy waits. Raw r||s for ECDSA, as RFC 7518 and RFC 9421 want it.
import { createHmac, type KeyObject, sign } from 'node:crypto';

/** With what a key signs; a key of another kind throws a TypeError. */
export type SignatureKind = 'ecdsa-p256-sha256' | 'ed25519' | 'hmac-sha256';

export function signBytes(kind: SignatureKind, key: KeyObject, bytes: Buffer): Buffer {
  switch (kind) {
    case 'ecdsa-p256-sha256':
      return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' });
    case 'ed25519':
      return sign(null, bytes, key);
    case 'hmac-sha256':
      return createHmac('sha256', key).update(bytes).digest();
  }
}

/** undefined: neither P-256, Ed25519 nor a shared secret. */
export function kindOf(key: KeyObject): SignatureKind | undefined {
  if (key.type === 'secret') return 'hmac-sha256';
  if (key.asymmetricKeyType === 'ed25519') return 'ed25519';
  const isP256 = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  return isP256 ? 'ecdsa-p256-sha256' : undefined;
}
