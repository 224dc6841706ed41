// Private keys as they stand in files: PEM (PKCS #8, PKCS #1, SEC 1) without a password, or JWK.
import { createPrivateKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';

type Jwk = JsonWebKeyInput['key'] & { readonly kid?: string; readonly alg?: string };

export interface PrivateKey {
  readonly key: KeyObject;
  /** undefined: it was PEM. */
  readonly jwk: Jwk | undefined;
}

/** undefined: neither; nothing of the text is quoted anywhere. */
export function parsePrivateKey(text: string): PrivateKey | undefined {
  const jwk = parseJwk(text);
  try {
    const key = jwk === undefined ? createPrivateKey(text) : createPrivateKey({ key: jwk, format: 'jwk' });
    return { key, jwk };
  } catch {
    return undefined;
  }
}

function parseJwk(text: string): Jwk | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Jwk) : undefined;
  } catch {
    return undefined;
  }
}
