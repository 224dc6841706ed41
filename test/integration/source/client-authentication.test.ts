// Every client authentication against a real provider over TLS.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, decodeJwt, SignJWT } from 'jose';
import { type Authority, createAuthority } from '../../../demo/certificates.ts';
import { issued, issueFailure, issueRequest } from '../../support/issue.ts';
import { jwksOf, type OpenIdProvider, startOpenIdProvider } from '../../support/openid-provider.ts';
import { sourceOf } from '../../support/token-source.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-client-auth-'));
const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
};
const keys = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const pem = (key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8') =>
  key.export({ type: type as 'pkcs8', format: 'pem' }) as string;

let authority: Authority;
let provider: OpenIdProvider;
let certificates: Record<'orders' | 'stranger' | 'self', { cert: string; key: string }>;

before(async () => {
  authority = await createAuthority(folder);
  const stranger = await createAuthority(folder, 'another authority');
  certificates = {
    orders: await authority.issue('orders', 'client'),
    stranger: await stranger.issue('stranger', 'client'),
    self: await stranger.issue('self', 'client'),
  };
  const x5c = new X509Certificate(readFileSync(certificates.self.cert));
  provider = await startOpenIdProvider({
    authority,
    clients: [
      { client_id: 'basic', client_secret: 's+e/c:r%e t', token_endpoint_auth_method: 'client_secret_basic' },
      { client_id: 'post', client_secret: 's+e/c:r%e t', token_endpoint_auth_method: 'client_secret_post' },
      {
        client_id: 'key',
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: await jwksOf(
          { key: keys.ES256.publicKey, kid: 'e' },
          { key: keys.EdDSA.publicKey, kid: 'd' },
          { key: keys.RS256.publicKey, kid: 'r' },
        ),
      },
      {
        client_id: 'tls',
        token_endpoint_auth_method: 'tls_client_auth',
        tls_client_auth_san_dns: 'orders',
        tls_client_certificate_bound_access_tokens: true,
      },
      {
        client_id: 'self',
        token_endpoint_auth_method: 'self_signed_tls_client_auth',
        tls_client_certificate_bound_access_tokens: true,
        jwks: {
          keys: [
            { ...x5c.publicKey.export({ format: 'jwk' }), use: 'sig', x5c: [x5c.raw.toString('base64')] },
          ],
        },
      },
      {
        client_id: 'dpop',
        client_secret: 'secret-of-32-characters-or-more-x',
        token_endpoint_auth_method: 'client_secret_basic',
        dpop_bound_access_tokens: true,
      },
    ],
  });
});
after(async () => {
  await provider.stop();
  rmSync(folder, { recursive: true, force: true });
});

const words = (clientId: string, patch: object) => ({
  client_credentials: {
    issuer: provider.issuer,
    client_id: clientId,
    scope: ['orders.read'],
    ca_file: authority.ca,
    ...patch,
  },
});
const issue = async (clientId: string, patch: object) => issued(await sourceOf(words(clientId, patch)));
const failure = async (clientId: string, patch: object) =>
  issueFailure(await sourceOf(words(clientId, patch)));
const claims = ({ value }: { value: { reveal(): string } }) => decodeJwt(value.reveal());

const secret = { client_secret: { inline: 's+e/c:r%e t' } };
const certificate = (name: keyof typeof certificates) => ({
  client_certificate: { certificate: certificates[name].cert, private_key: certificates[name].key },
});

describe('a shared secret', () => {
  for (const method of ['client_secret_basic', 'client_secret_post'] as const) {
    test(`${method} gets a token`, async () => {
      const clientId = method === 'client_secret_basic' ? 'basic' : 'post';
      const token = await issue(clientId, { ...secret, client_auth: method });
      assert.equal(claims(token)['client_id'], clientId);
      assert.equal(token.bound, false);
    });
  }

  test('a wrong one is source_rejected with invalid_client', async () => {
    const error = await failure('basic', { client_secret: { inline: 'wrong' } });
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /401: invalid_client/);
  });
});

describe('private_key_jwt', () => {
  const written: readonly (readonly [what: string, text: string, kid: string])[] = [
    ['ES256, PKCS #8', pem(keys.ES256.privateKey), 'e'],
    ['ES256, SEC 1', pem(keys.ES256.privateKey, 'sec1'), 'e'],
    ['ES256, JWK', JSON.stringify({ ...keys.ES256.privateKey.export({ format: 'jwk' }), kid: 'e' }), 'e'],
    ['EdDSA, PKCS #8', pem(keys.EdDSA.privateKey), 'd'],
    ['EdDSA, JWK', JSON.stringify({ ...keys.EdDSA.privateKey.export({ format: 'jwk' }), kid: 'd' }), 'd'],
    ['RS256, PKCS #8', pem(keys.RS256.privateKey), 'r'],
    ['RS256, PKCS #1', pem(keys.RS256.privateKey, 'pkcs1'), 'r'],
  ];
  for (const [what, text, kid] of written) {
    for (const audience of ['issuer', 'token endpoint'] as const) {
      test(`${what}, audience = ${audience}`, async () => {
        const key = { file: file('key', text) };
        const token = await issue('key', {
          client_auth: 'private_key_jwt',
          private_key_jwt: {
            key,
            ...(text.startsWith('{') ? {} : { kid }),
            audience: audience === 'issuer' ? provider.issuer : provider.tokenEndpoint,
          },
        });
        assert.equal(claims(token)['client_id'], 'key');
      });
    }
  }

  test('without discovery the token endpoint is the audience', async () => {
    const token = await issue('key', {
      issuer: undefined,
      token_endpoint: provider.tokenEndpoint,
      private_key_jwt: { key: { file: file('key', pem(keys.ES256.privateKey)) } },
    });
    assert.equal(claims(token)['client_id'], 'key');
  });

  const bad: readonly (readonly [what: string, text: string, patch: object, message: RegExp])[] = [
    [
      'a file that is no key',
      'top-secret',
      {},
      /bad: no private key, neither PEM without a password nor JWK/,
    ],
    [
      'a public key',
      keys.ES256.publicKey.export({ type: 'spki', format: 'pem' }) as string,
      {},
      /no private key/,
    ],
    [
      'a key with a password',
      keys.ES256.privateKey.export({
        type: 'pkcs8',
        format: 'pem',
        cipher: 'aes-256-cbc',
        passphrase: 'x',
      }) as string,
      {},
      /without a password/,
    ],
    [
      'a curve that nobody asked for',
      pem(generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey),
      {},
      /expected an EC key on P-256, an Ed25519 or an RSA key/,
    ],
    [
      'an alg of another key',
      pem(keys.ES256.privateKey),
      { alg: 'RS256' },
      /alg RS256 needs another kind of key/,
    ],
  ];
  for (const [what, text, patch, message] of bad) {
    test(`${what} is secret_unreadable and nothing of it is quoted`, async () => {
      const error = await failure('key', { private_key_jwt: { key: { file: file('bad', text) }, ...patch } });
      assert.equal(error.code, 'secret_unreadable');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /top-secret/);
    });
  }
});

describe('a client certificate (RFC 8705)', () => {
  test('tls_client_auth gets a token that is bound to it', async () => {
    const token = await issue('tls', { client_auth: 'tls_client_auth', ...certificate('orders') });
    assert.ok((claims(token)['cnf'] as Record<string, string>)['x5t#S256']);
    assert.equal(token.bound, true);
  });

  test('self_signed_tls_client_auth gets a token that is bound to it', async () => {
    const token = await issue('self', { client_auth: 'self_signed_tls_client_auth', ...certificate('self') });
    assert.ok((claims(token)['cnf'] as Record<string, string>)['x5t#S256']);
    assert.equal(token.bound, true);
  });

  test('one of another authority is refused by the provider', async () => {
    const error = await failure('tls', certificate('stranger'));
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /invalid_client/);
  });

  test('new files are taken over by the same source, half of a new pair is not', async () => {
    const live = { cert: join(folder, 'live.pem'), key: join(folder, 'live.key') };
    const take = (name: 'cert' | 'key', from: keyof typeof certificates) => {
      writeFileSync(`${live[name]}.new`, readFileSync(certificates[from][name]));
      renameSync(`${live[name]}.new`, live[name]);
    };
    take('cert', 'stranger');
    take('key', 'stranger');
    const source = await sourceOf(
      words('tls', { client_certificate: { certificate: live.cert, private_key: live.key } }),
    );
    try {
      await assert.rejects(source.issue(issueRequest()), { code: 'source_rejected' });
      take('cert', 'orders');
      await assert.rejects(source.issue(issueRequest()), {
        code: 'secret_unreadable',
        message: /the key is not the one of the certificate/,
      });
      take('key', 'orders');
      assert.equal(claims(await source.issue(issueRequest()))['client_id'], 'tls');
    } finally {
      await source.close?.();
    }
  });
});

describe('an assertion of another authority (RFC 7521)', () => {
  const signedFor = (audience: string, lifetimeSeconds: number) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: 'e' })
      .setIssuer('key')
      .setSubject('key')
      .setAudience(audience)
      .setJti(String(Math.random()))
      .setIssuedAt()
      .setExpirationTime(Math.floor(Date.now() / 1_000) + lifetimeSeconds)
      .sign(keys.ES256.privateKey);

  test('from a file gets a token, and from the file of the next moment', async () => {
    const path = file('assertion', `${await signedFor(provider.issuer, 60)}\n`);
    const source = await sourceOf(words('key', { client_assertion: { file: path } }));
    try {
      assert.equal(claims(await source.issue(issueRequest()))['client_id'], 'key');
      file('assertion', await signedFor('https://elsewhere.example.com', 60));
      await assert.rejects(source.issue(issueRequest()), { code: 'source_rejected' });
      file('assertion', await signedFor(provider.issuer, 60));
      assert.equal(claims(await source.issue(issueRequest()))['client_id'], 'key');
    } finally {
      await source.close?.();
    }
  });

  test('one that has ended is not sent', async () => {
    const before = provider.tokenCalls;
    const path = file('assertion', await signedFor(provider.issuer, -1));
    const error = await failure('key', { client_assertion: { file: path } });
    assert.equal(error.code, 'secret_unreadable');
    assert.match(error.message, /the assertion in it has expired/);
    assert.equal(provider.tokenCalls, before);
  });
});

describe('auto', () => {
  const own = () => ({
    private_key_jwt: { key: { file: file('key', pem(keys.ES256.privateKey)) }, kid: 'e' },
  });

  test('takes the key before the secret', async () => {
    const token = await issue('key', { ...own(), ...secret });
    assert.equal(claims(token)['client_id'], 'key');
  });

  test('takes the certificate before the key', async () => {
    const token = await issue('tls', { ...own(), ...secret, ...certificate('orders') });
    assert.equal(claims(token)['client_id'], 'tls');
  });

  test('takes what the metadata list', async (t) => {
    const other = await startOpenIdProvider({
      authority,
      clientAuthMethods: ['client_secret_post'],
      clients: [
        { client_id: 'post', client_secret: 's+e/c:r%e t', token_endpoint_auth_method: 'client_secret_post' },
      ],
    });
    t.after(() => other.stop());
    const token = await issue('post', { issuer: other.issuer, ...own(), ...secret });
    assert.equal(claims(token)['client_id'], 'post');
    const error = await failure('post', { issuer: other.issuer, ...own() });
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /list none of the client's ways to prove itself \(private_key_jwt\)/);
  });
});

describe('DPoP (RFC 9449)', () => {
  const dpop = { client_secret: { inline: 'secret-of-32-characters-or-more-x' }, dpop: true };

  test('the token is bound to the key that comes with it', async () => {
    const token = await issue('dpop', dpop);
    assert.equal(token.bound, true);
    assert.equal(token.proofKey?.alg, 'ES256');
    const { jkt } = claims(token)['cnf'] as { jkt: string };
    assert.equal(await calculateJwkThumbprint(token.proofKey!.publicJwk as never), jkt);
  });

  test('the nonce of the endpoint is taken over: one call more, and only the first time', async (t) => {
    const other = await startOpenIdProvider({
      authority,
      dpopNonce: true,
      clients: [
        {
          client_id: 'dpop',
          client_secret: 'secret-of-32-characters-or-more-x',
          token_endpoint_auth_method: 'client_secret_basic',
          dpop_bound_access_tokens: true,
        },
      ],
    });
    t.after(() => other.stop());
    const source = await sourceOf(words('dpop', { issuer: other.issuer, ...dpop }));
    try {
      await source.issue(issueRequest());
      assert.equal(other.tokenCalls, 2);
      await source.issue(issueRequest());
      assert.equal(other.tokenCalls, 3);
    } finally {
      await source.close?.();
    }
  });
});

describe('TLS', () => {
  test('a provider of an unknown authority is refused, also with NODE_TLS_REJECT_UNAUTHORIZED=0', async (t) => {
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    t.after(() => {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before;
    });
    const error = await failure('basic', { ...secret, ca_file: undefined });
    assert.equal(error.code, 'source_unavailable');
    assert.match(error.message, /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/);
  });
});
