// An issuer of tokens for tests: keys, their JWK Set, and tokens signed with them, right or wrong as wanted.
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly jwk: Readonly<Record<string, unknown>>;
}

export function createTestKey(kid: string, alg = 'RS256'): TestKey {
  const { privateKey, publicKey } =
    alg.startsWith('RS') || alg.startsWith('PS')
      ? generateKeyPairSync('rsa', { modulusLength: 2_048 })
      : alg.startsWith('ES')
        ? generateKeyPairSync('ec', { namedCurve: `P-${alg === 'ES512' ? '521' : alg.slice(2)}` })
        : generateKeyPairSync('ed25519');
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
  return { kid, alg, privateKey, jwk };
}

export function jwkSet(...keys: readonly TestKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

export const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** Header members that are undefined are left out. */
export function signToken(
  key: TestKey,
  claims: Readonly<Record<string, unknown>> | string,
  header: Readonly<Record<string, unknown>> = {},
): string {
  const input = `${part({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header })}.${part(claims)}`;
  return `${input}.${signatureOf(key, input).toString('base64url')}`;
}

export function signatureOf({ alg, privateKey }: TestKey, input: string): Buffer {
  const data = Buffer.from(input);
  if (alg === 'EdDSA' || alg === 'Ed25519') return sign(null, data, privateKey);
  const hash = `sha${alg.slice(2)}`;
  if (alg.startsWith('ES')) return sign(hash, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  if (alg.startsWith('PS')) {
    return sign(hash, data, { key: privateKey, padding: 6, saltLength: Number(alg.slice(2)) / 8 });
  }
  return sign(hash, data, privateKey);
}

export function macToken(secret: string | Buffer, claims: object, header: object = {}): string {
  const input = `${part({ alg: 'HS256', typ: 'JWT', ...header })}.${part(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}
