// client_auth: auto against metadata of every kind, and the endpoint that mutual TLS has for itself.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { type Authority, type CertificateFiles, createAuthority } from '../../../demo/certificates.ts';
import { issueFailure } from '../../support/issue.ts';
import { issuedBy, sourceOf } from '../../support/token-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-auto-'));
const keyFile = (name: string, key: KeyObject) => {
  const path = join(folder, name);
  writeFileSync(path, key.export({ type: 'pkcs8', format: 'pem' }));
  return { private_key_jwt: { key: { file: path } } };
};
const p256 = keyFile('p256.pem', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
const ed25519 = keyFile('ed25519.pem', generateKeyPairSync('ed25519').privateKey);
const rsa = keyFile('rsa.pem', generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
const secret = { client_secret: { inline: 'secret' } };

/** Where and how the client proved itself at the last token request. */
interface Seen {
  readonly path: string;
  readonly method: 'basic' | 'post' | 'assertion' | 'certificate' | 'none';
  readonly alg: string | undefined;
}
let seen: Seen | undefined;
let metadata: object = {};
let authority: Authority;
let certificate: CertificateFiles;
let issuer = '';

function answer(request: IncomingMessage, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json');
  if (request.method === 'GET') {
    response.end(JSON.stringify({ issuer, token_endpoint: `${issuer}/token`, ...metadata }));
    return;
  }
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    const form = new URLSearchParams(body);
    const assertion = form.get('client_assertion');
    const hasCertificate = (request.socket as unknown as { authorized: boolean }).authorized;
    seen = {
      path: request.url!,
      alg: assertion === null ? undefined : decodeProtectedHeader(assertion).alg,
      method: request.headers.authorization?.startsWith('Basic ')
        ? 'basic'
        : form.has('client_secret')
          ? 'post'
          : assertion !== null
            ? 'assertion'
            : hasCertificate
              ? 'certificate'
              : 'none',
    };
    response.end('{"access_token":"abc","token_type":"Bearer","expires_in":600}');
  });
}

let close: () => void = () => {};
before(async () => {
  authority = await createAuthority(folder);
  certificate = await authority.issue('checkout', 'client');
  const { cert, key } = await authority.issue('localhost', 'server');
  const server = createServer(
    {
      cert: readFileSync(cert),
      key: readFileSync(key),
      ca: readFileSync(authority.ca),
      requestCert: true,
      rejectUnauthorized: false,
    },
    answer,
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  close = () => {
    server.close();
    server.closeAllConnections();
  };
});
after(() => {
  close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen = undefined;
});

const words = (patch: object) => ({
  client_credentials: { issuer, client_id: 'checkout', ca_file: authority.ca, ...patch },
});
const lists = (methods: readonly string[], algs?: readonly string[]) => ({
  token_endpoint_auth_methods_supported: methods,
  ...(algs === undefined ? {} : { token_endpoint_auth_signing_alg_values_supported: algs }),
});

const ALL = ['client_secret_post', 'client_secret_basic', 'private_key_jwt', 'tls_client_auth'];
const CHOICES: readonly (readonly [what: string, metadata: object, words: object, Partial<Seen>])[] = [
  [
    'metadata that say nothing: the first that is configured',
    {},
    { ...p256, ...secret },
    { method: 'assertion' },
  ],
  ['a secret by metadata that say nothing: Basic, as RFC 8414 has it', {}, secret, { method: 'basic' }],
  ['all listed: a key before a secret', lists(ALL), { ...p256, ...secret }, { method: 'assertion' }],
  ['only post listed', lists(['client_secret_post']), { ...p256, ...secret }, { method: 'post' }],
  ['both for secrets listed: Basic', lists(ALL), secret, { method: 'basic' }],
  ['RSA where only PS256 is taken', lists(ALL, ['PS256']), rsa, { method: 'assertion', alg: 'PS256' }],
  ['RSA where both are taken', lists(ALL, ['PS256', 'RS256']), rsa, { method: 'assertion', alg: 'RS256' }],
  ['Ed25519 by its older name', lists(ALL, ['EdDSA', 'Ed25519']), ed25519, { alg: 'EdDSA' }],
  ['Ed25519 by its newer name only', lists(ALL, ['Ed25519']), ed25519, { alg: 'Ed25519' }],
  [
    'a key whose signature nobody takes: the secret',
    lists(ALL, ['RS256']),
    { ...p256, ...secret },
    { method: 'basic' },
  ],
  [
    'an explicit method against the metadata',
    lists(['client_secret_basic']),
    { ...p256, ...secret, client_auth: 'private_key_jwt' },
    { method: 'assertion' },
  ],
];

describe('client_auth', () => {
  for (const [what, offered, configured, expected] of CHOICES) {
    test(what, async () => {
      metadata = offered;
      await issuedBy(words(configured));
      assert.deepEqual({ ...seen, ...expected }, seen);
    });
  }

  test('a certificate before a key', async () => {
    metadata = lists(ALL);
    const client_certificate = { certificate: certificate.cert, private_key: certificate.key };
    await issuedBy(words({ ...p256, client_certificate }));
    assert.equal(seen?.method, 'certificate');
  });

  test('a key whose signature nobody takes, and nothing else: the reason names what it could', async () => {
    metadata = lists(ALL, ['RS256']);
    const error = await issueFailure(await sourceOf(words(p256)));
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /takes no signature that .*p256\.pem can make \(ES256\)/);
    assert.equal(seen, undefined, 'nothing was sent');
  });
});

describe('mtls_endpoint_aliases (RFC 8705 section 5)', () => {
  const aliases = () => ({ ...lists(ALL), mtls_endpoint_aliases: { token_endpoint: `${issuer}/mtls` } });

  test('with a certificate the alias is asked', async () => {
    metadata = aliases();
    const client_certificate = { certificate: certificate.cert, private_key: certificate.key };
    await issuedBy(words({ client_certificate }));
    assert.equal(seen?.path, '/mtls');
  });

  test('without one the usual endpoint', async () => {
    metadata = aliases();
    await issuedBy(words(secret));
    assert.equal(seen?.path, '/token');
  });
});
