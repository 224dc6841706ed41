// A certificate authority of an hour for loopback, made anew each time: no key lies in the repository.
// Wanted by a library of @peculiar/x509, before it.
import 'reflect-metadata';

import { webcrypto } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const HOUR_MS = 3_600_000;

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Names beside the DNS name, e.g. of SPIFFE. */
  readonly uris?: readonly string[];
  /** IP addresses beside it. */
  readonly addresses?: readonly string[];
  /** Default one hour; negative: it has ended already. */
  readonly lifetimeMs?: number;
}

export interface Authority {
  /** Path of the authority's own certificate. */
  readonly ca: string;
  issue(name: string, use: 'server' | 'client', options?: IssueOptions): Promise<CertificateFiles>;
}

export async function createAuthority(folder: string, name = 'demo authority'): Promise<Authority> {
  x509.cryptoProvider.set(webcrypto as unknown as Crypto);
  const keys = await newKeys();
  const validity = { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: `CN=${name}`,
    ...validity,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  const ca = join(folder, `${name.replaceAll(' ', '-')}.pem`);
  await writeFile(ca, root.toString('pem'));
  let serial = 1;
  return {
    ca,
    async issue(subject, use, { uris = [], addresses = [], lifetimeMs = HOUR_MS } = {}) {
      const own = await newKeys();
      serial++;
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial.toString(16).padStart(2, '0'),
        subject: `CN=${subject}`,
        issuer: root.subject,
        notBefore: new Date(Date.now() - HOUR_MS),
        notAfter: new Date(Date.now() + lifetimeMs),
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.ExtendedKeyUsageExtension([
            use === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          new x509.SubjectAlternativeNameExtension([
            { type: 'dns', value: subject },
            ...uris.map((value) => ({ type: 'url' as const, value })),
            ...addresses.map((value) => ({ type: 'ip' as const, value })),
          ]),
        ],
      });
      const files = { cert: join(folder, `${subject}.pem`), key: join(folder, `${subject}.key`) };
      const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey as never));
      const pem = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
      await writeFile(files.cert, certificate.toString('pem'));
      await writeFile(files.key, pem, { mode: 0o600 });
      return files;
    },
  };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, [
    'sign',
    'verify',
  ]) as Promise<webcrypto.CryptoKeyPair>;
}
