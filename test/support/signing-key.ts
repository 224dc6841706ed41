// Private keys made for a test, as files.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

export type KeyKind = 'ES256' | 'EdDSA' | 'RS256';

export function privateKeyPem(kind: KeyKind): string {
  const pkcs8 = { type: 'pkcs8', format: 'pem' } as const;
  const spki = { type: 'spki', format: 'pem' } as const;
  const encoding = { privateKeyEncoding: pkcs8, publicKeyEncoding: spki };
  switch (kind) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256', ...encoding }).privateKey;
    case 'EdDSA':
      return generateKeyPairSync('ed25519', encoding).privateKey;
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: 2048, ...encoding }).privateKey;
  }
}

export function writePrivateKey(path: string, kind: KeyKind = 'ES256'): void {
  writeFileSync(path, privateKeyPem(kind), { mode: 0o600 });
}
