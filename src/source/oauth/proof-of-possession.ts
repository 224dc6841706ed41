// DPoP (RFC 9449): tokens bound to a key that this process makes at its start and that never leaves it.
import { generateKeyPairSync } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import type { ProofKey } from '../../credential/credential.ts';

const ES256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export interface ProofOfPossession {
  /** Signs the token requests and remembers the endpoint's nonce. */
  readonly handle: oauth.DPoPHandle;
  /** For whoever uses the tokens. */
  readonly key: ProofKey;
}

export function createProofOfPossession(client: oauth.Client): ProofOfPossession {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const handle = oauth.DPoP(client, {
    privateKey: privateKey.toCryptoKey(ES256, false, ['sign']),
    publicKey: publicKey.toCryptoKey(ES256, true, ['verify']),
  });
  const { kty, crv, x, y } = publicKey.export({ format: 'jwk' }) as ProofKey['publicJwk'];
  return { handle, key: { alg: 'ES256', privateKey, publicJwk: { kty, crv, x, y } } };
}
