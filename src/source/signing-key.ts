// A private key that signs JWTs: PEM (PKCS #8, PKCS #1, SEC 1) or JWK, by reference, read anew for each use.
import type { KeyObject } from 'node:crypto';
import type { SigningAlgorithm, SigningKeyConfig } from '../config/config.ts';
import { CredentialError, secretUnreadable } from '../lib/errors.ts';
import { parsePrivateKey } from '../lib/private-key.ts';
import { createSecretReader } from '../lib/secret-ref.ts';

export interface SigningKey {
  readonly key: KeyObject;
  readonly alg: SigningAlgorithm;
  readonly kid: string | undefined;
}

export interface SigningKeyReader {
  /**
   * `offered`: algorithms that whoever reads the JWT takes; undefined = unknown. Rejects with CredentialError:
   * secret_unreadable, or source_rejected where the key can do none of them. Nothing of the key is quoted.
   */
  read(offered?: readonly string[]): Promise<SigningKey>;
  /** To watch. */
  readonly files: readonly string[];
}

export function createSigningKeyReader(
  { key: ref, kid, alg }: SigningKeyConfig,
  env: Readonly<Record<string, string | undefined>>,
): SigningKeyReader {
  const secret = createSecretReader(ref, env);
  const name = ref.from === 'file' ? ref.path : ref.from === 'env' ? ref.name : 'the inline key';
  const refuse = (what: string): never => {
    throw secretUnreadable(`${name}: ${what}`);
  };

  return {
    async read(offered) {
      const text = (await secret.read()).reveal();
      const { key, jwk } =
        parsePrivateKey(text) ?? refuse('no private key, neither PEM without a password nor JWK');
      const able = algorithmsOf(key);
      if (able.length === 0) return refuse('expected an EC key on P-256, an Ed25519 or an RSA key');
      if (alg !== undefined && !able.includes(alg)) {
        return refuse(`alg ${alg} needs another kind of key than this one`);
      }
      const taken = able.filter((one) => offered === undefined || isOffered(one, offered));
      const wanted = alg ?? taken.find((one) => one === jwk?.alg) ?? taken[0];
      if (wanted === undefined) {
        throw new CredentialError(
          'source_rejected',
          `the provider takes no signature that ${name} can make (${able.join(', ')})`,
          { retryable: false },
        );
      }
      return { key, alg: wanted, kid: kid ?? jwk?.kid };
    },
    files: secret.file === undefined ? [] : [secret.file],
  };
}

/** EdDSA with Ed25519 has two names: RFC 8037 and RFC 9864. */
function isOffered(alg: SigningAlgorithm, offered: readonly string[]): boolean {
  return offered.includes(alg) || (alg === 'EdDSA' && offered.includes('Ed25519'));
}

/** What this kind of key can sign, the usual one first. */
function algorithmsOf(key: KeyObject): readonly SigningAlgorithm[] {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? ['ES256'] : [];
    case 'ed25519':
      return ['EdDSA'];
    case 'rsa':
      return ['RS256', 'PS256'];
    default:
      return [];
  }
}
