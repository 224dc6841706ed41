// Keycloak, whose OAuth is its own: every client authentication that it knows, DPoP and the JWT bearer grant.
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { calculateJwkThumbprint, decodeJwt, SignJWT } from 'jose';
import { type Authority, createAuthority } from '../../demo/certificates.ts';
import { KEYCLOAK_FEATURES, KEYCLOAK_VERSION, keycloakMissing } from '../../tools/parts/keycloak.ts';
import { type BundleEndpoint, startBundleEndpoint } from '../support/bundle-endpoint.ts';
import { issued, issueFailure, issueRequest } from '../support/issue.ts';
import { type Keycloak, startKeycloak } from '../support/keycloak.ts';
import { jwksOf } from '../support/openid-provider.ts';
import { sourceOf } from '../support/token-source.ts';
import { type StartedWorkloadApi, startWorkloadApi } from '../support/workload-api.ts';

const missing = await keycloakMissing();

describe(`Keycloak ${KEYCLOAK_VERSION}`, { skip: missing ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-keycloak-test-'));
  const keys = {
    ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: generateKeyPairSync('ed25519'),
    RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  };
  // Those of other authorities: Keycloak takes RSA by PEM.
  const signer = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const cluster = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const spki = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string;
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const keyFile = (name: string, key: KeyObject) =>
    file(name, key.export({ type: 'pkcs8', format: 'pem' }) as string);

  let authority: Authority;
  let keycloak: Keycloak;
  let workloadApi: StartedWorkloadApi;
  let bundle: BundleEndpoint;
  before(async () => {
    authority = await createAuthority(folder);
    const jwks = await jwksOf(
      { key: keys.ES256.publicKey, kid: 'e', alg: 'ES256' },
      { key: keys.EdDSA.publicKey, kid: 'd', alg: 'EdDSA' },
      { key: keys.RS256.publicKey, kid: 'r', alg: 'RS256' },
    );
    workloadApi = await startWorkloadApi({ socket: join(folder, 'agent.sock') });
    bundle = await startBundleEndpoint(authority, workloadApi);
    keycloak = await startKeycloak({
      authority,
      clients: { key: { 'jwks.string': JSON.stringify(jwks) } },
      identityProviders: {
        signer: { publicKeySignatureVerifier: spki(signer.publicKey) },
        cluster: { publicKeySignatureVerifier: spki(cluster.publicKey) },
        mesh: { bundleEndpoint: bundle.url },
      },
    });
    process.stdout.write(`keycloak_start_seconds ${(keycloak.startMs / 1_000).toFixed(1)}\n`);
  });
  after(async () => {
    await keycloak?.stop();
    await workloadApi?.stop();
    bundle?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const words = (clientId: string, patch: object, kind = 'client_credentials') => ({
    [kind]: { issuer: keycloak.issuer, client_id: clientId, ca_file: authority.ca, ...patch },
  });
  const issue = async (...given: Parameters<typeof words>) => issued(await sourceOf(words(...given)));
  const failure = async (...given: Parameters<typeof words>) => issueFailure(await sourceOf(words(...given)));
  const claims = ({ value }: { value: { reveal(): string } }) => decodeJwt(value.reveal());
  const secret = { client_secret: { inline: 's+e/c:r%e t' } };

  for (const method of ['client_secret_basic', 'client_secret_post', 'auto'] as const) {
    test(`a shared secret by ${method}`, async () => {
      const token = await issue('secret', { ...secret, client_auth: method });
      assert.equal(claims(token)['azp'], 'secret');
      assert.equal(claims(token).iss, keycloak.issuer);
      assert.ok(token.lifetimeMs! > 290_000 && token.lifetimeMs! <= 300_000);
      assert.equal(token.bound, false);
    });
  }

  test('of two secrets the one that holds', async () => {
    const token = await issue('secret', { client_secret: [{ inline: 'next' }, { inline: 's+e/c:r%e t' }] });
    assert.equal(claims(token)['azp'], 'secret');
  });

  test('a wrong secret is source_rejected', async () => {
    const error = await failure('secret', { client_secret: { inline: 'wrong' } });
    assert.equal(error.code, 'source_rejected');
    assert.match(error.message, /401: (unauthorized_client|invalid_client)/);
  });

  for (const [alg, kid] of [
    ['ES256', 'e'],
    ['EdDSA', 'd'],
    ['RS256', 'r'],
  ] as const) {
    for (const audience of ['issuer', 'token endpoint'] as const) {
      test(`private_key_jwt with ${alg}, audience = ${audience}`, async () => {
        const token = await issue('key', {
          private_key_jwt: {
            key: { file: keyFile('key.pem', keys[alg].privateKey) },
            kid,
            audience: audience === 'issuer' ? keycloak.issuer : keycloak.tokenEndpoint,
          },
        });
        assert.equal(claims(token)['azp'], 'key');
      });
    }
  }

  test('tls_client_auth: the token is bound to the certificate', async () => {
    const { cert, key } = await authority.issue('orders', 'client');
    const token = await issue('certificate', { client_certificate: { certificate: cert, private_key: key } });
    assert.equal(claims(token)['azp'], 'certificate');
    assert.ok((claims(token)['cnf'] as Record<string, string>)['x5t#S256']);
    assert.equal(token.bound, true);
  });

  test('a federated assertion, as of a Kubernetes service account', async () => {
    const assertion = await new SignJWT({})
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer('https://kubernetes.default.svc')
      .setSubject('system:serviceaccount:shop:orders')
      .setAudience(keycloak.issuer)
      .setIssuedAt()
      .setExpirationTime('5m')
      .setJti('1')
      .sign(cluster.privateKey);
    const token = await issue('federated', { client_assertion: { file: file('assertion', assertion) } });
    assert.equal(claims(token)['azp'], 'federated');
  });

  test('a JWT-SVID as the proof (--features=spiffe)', async () => {
    const spiffe = { socket: `unix://${workloadApi.socket}` };
    const token = await issue('workload', { client_assertion: { spiffe } });
    assert.equal(claims(token)['azp'], 'workload');
  });

  test('DPoP: the token is bound to the key that comes with it', async () => {
    const token = await issue('dpop', { ...secret, dpop: true });
    const { jkt } = claims(token)['cnf'] as { jkt: string };
    assert.equal(await calculateJwkThumbprint(token.proofKey!.publicJwk as never), jkt);
    assert.equal(token.bound, true);
  });

  describe(`jwt_bearer (--features=${KEYCLOAK_FEATURES[0]})`, () => {
    const signed = (patch: object = {}) => ({
      ...secret,
      assertion: {
        signed: {
          key: { file: keyFile('signer.pem', signer.privateKey) },
          issuer: 'https://signer.example.com',
          subject: 'robot',
          ...patch,
        },
      },
    });

    test('a self-signed assertion becomes a token of the user that it names', async () => {
      const token = await issue('secret', signed(), 'jwt_bearer');
      assert.equal(claims(token)['preferred_username'], 'alice');
      assert.equal(claims(token)['azp'], 'secret');
    });

    test('one source gets token after token: no assertion is used twice', async () => {
      const source = await sourceOf(words('secret', signed(), 'jwt_bearer'));
      try {
        for (let i = 0; i < 3; i++) await source.issue(issueRequest());
      } finally {
        await source.close?.();
      }
    });

    test('an unknown signer is source_rejected', async () => {
      const error = await failure('secret', signed({ issuer: 'https://other.example.com' }), 'jwt_bearer');
      assert.equal(error.code, 'source_rejected');
      assert.match(error.message, /400: invalid_grant/);
    });
  });
});
