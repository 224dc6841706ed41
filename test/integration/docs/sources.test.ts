// Every example of docs/sources.md runs: bearerd starts with it and gets its credential from the kind of part it names.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jwtVerify, SignJWT } from 'jose';
import { type Authority, createAuthority } from '../../../demo/certificates.ts';
import { type DocExample, writeDocExample } from '../../support/doc-example.ts';
import { LOGIN_SECRET, startLoginProvider } from '../../support/login-provider.ts';
import { startUpstream } from '../../support/loopback.ts';
import { jwksOf, startOpenIdProvider } from '../../support/openid-provider.ts';
import { freePort } from '../../support/ports.ts';
import { startProcess } from '../../support/process.ts';
import { storeLogin } from '../../support/stored-login.ts';
import { startWorkloadApi } from '../../support/workload-api.ts';

const DOCUMENT = 'docs/sources.md';

/** The part that the example names, and the files that others bring. */
const EXAMPLES: Readonly<Record<string, (t: TestContext) => Promise<DocExample>>> = {
  client_credentials: (t) =>
    withOpenIdProvider(t, 'client_credentials', async ({ put }) => {
      put('checkout', 'the+secret\n');
      return { token_endpoint_auth_method: 'client_secret_basic', client_secret: 'the+secret' };
    }),
  'client_credentials with private_key_jwt': (t) =>
    withOpenIdProvider(t, 'client_credentials with private_key_jwt', async ({ put }) => {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      put('checkout-key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }));
      return {
        token_endpoint_auth_method: 'private_key_jwt',
        jwks: await jwksOf({ key: publicKey, kid: 'checkout-2026' }),
      };
    }),
  'client_credentials with a client certificate': (t) =>
    withOpenIdProvider(t, 'client_credentials with a client certificate', async ({ put, authority }) => {
      const { cert, key } = await authority.issue('checkout', 'client');
      put('tls.crt', readFileSync(cert));
      put('tls.key', readFileSync(key));
      return { token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'checkout' };
    }),
  'client_credentials with a federated assertion': (t) =>
    withOpenIdProvider(t, 'client_credentials with a federated assertion', async ({ put, issuer }) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const assertion = new SignJWT({ iss: 'checkout', sub: 'checkout', aud: issuer, jti: '1' });
      assertion.setProtectedHeader({ alg: 'ES256' }).setIssuedAt().setExpirationTime('5m');
      put('tokens/idp', await assertion.sign(privateKey));
      return { token_endpoint_auth_method: 'private_key_jwt', jwks: await jwksOf({ key: publicKey }) };
    }),
  async jwt_bearer(t) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const port = await startUpstream(t, async (request, response) => {
      const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
      const { payload } = await jwtVerify(form.get('assertion')!, publicKey);
      assert.equal(payload.sub, 'robot@example.com');
      response.setHeader('content-type', 'application/json');
      response.end('{"access_token":"of-the-robot","token_type":"Bearer","expires_in":300}');
    });
    const example = await writeDocExample(t, DOCUMENT, 'jwt_bearer', {
      'version: 1': 'version: 1\nmode: development',
      'https://idp.example.com': `http://127.0.0.1:${port}`,
    });
    writeFileSync(join(example.folder, 'checkout'), 'the-secret');
    writeFileSync(join(example.folder, 'robot-key.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return example;
  },
  async http(t) {
    const port = await startUpstream(t, (request, response) => {
      assert.equal(request.headers['x-api-key'], 'the-key');
      response.setHeader('content-type', 'application/json');
      const expires = new Date(Date.now() + 600_000).toISOString();
      response.end(JSON.stringify({ session: { token: 'short-lived', expires } }));
    });
    const example = await writeDocExample(t, DOCUMENT, 'http', {
      'version: 1': 'version: 1\nmode: development',
      'https://weather.example.com': `http://127.0.0.1:${port}`,
    });
    writeFileSync(join(example.folder, 'weather-key'), 'the-key\n');
    return example;
  },
  exec: (t) => writeDocExample(t, DOCUMENT, 'exec'),
  async refresh_token(t) {
    const provider = await startLoginProvider();
    t.after(() => provider.stop());
    const example = await writeDocExample(t, DOCUMENT, 'refresh_token', {
      'version: 1': 'version: 1\nmode: development',
      'https://login.example.com': provider.issuer,
      '/var/lib/bearerd': '.',
    });
    writeFileSync(join(example.folder, 'checkout'), LOGIN_SECRET);
    writeFileSync(join(example.folder, 'refresh-key'), randomBytes(32).toString('base64'));
    await storeLogin(example.configFile, 'calendar', await provider.newRefreshToken());
    return example;
  },
  async spiffe_jwt(t) {
    const example = await writeDocExample(t, DOCUMENT, 'spiffe_jwt', { '/run/spire': '/tmp/FOLDER' });
    const text = readFileSync(example.configFile, 'utf8');
    writeFileSync(example.configFile, text.replaceAll('/tmp/FOLDER', example.folder));
    const api = await startWorkloadApi({ socket: join(example.folder, 'agent.sock') });
    t.after(() => api.stop());
    return example;
  },
  async signed_jwt(t) {
    const example = await writeDocExample(t, DOCUMENT, 'signed_jwt');
    mkdirSync(join(example.folder, 'signing'));
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    writeFileSync(join(example.folder, 'signing', '2026-11.pem'), pem);
    return example;
  },
  async api_keys(t) {
    const example = await writeDocExample(t, DOCUMENT, 'api_keys');
    for (const name of ['maps-2026-08', 'maps-2026-11']) writeFileSync(join(example.folder, name), 'key\n');
    return example;
  },
};

interface Registration {
  readonly authority: Authority;
  readonly issuer: string;
  /** Writes a file into /var/run/secrets of the example. */
  readonly put: (name: string, content: string | Buffer) => void;
}

/** `register` brings the files and tells the metadata of the client `checkout`. */
async function withOpenIdProvider(
  t: TestContext,
  heading: string,
  register: (registration: Registration) => Promise<object>,
): Promise<DocExample> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-docs-idp-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = await createAuthority(folder);
  const port = await freePort();
  const issuer = `https://localhost:${port}`;
  const put: Registration['put'] = (name, content) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  const client = await register({ authority, issuer, put });
  put('idp-ca.pem', readFileSync(authority.ca));
  const provider = await startOpenIdProvider({
    authority,
    port,
    clients: [{ client_id: 'checkout', ...client }],
  });
  t.after(() => provider.stop());
  return writeDocExample(t, DOCUMENT, heading, {
    '/var/run/secrets': folder,
    'https://idp.example.com': issuer,
  });
}

for (const [kind, prepare] of Object.entries(EXAMPLES)) {
  test(`the example of ${kind} gets its credential`, async (t) => {
    const { configFile } = await prepare(t);
    const bearerd = await startProcess(
      process.execPath,
      ['bin/bearerd.js', 'serve', '--config', configFile],
      { name: 'bearerd' },
    );
    t.after(() => bearerd.stop());
    const [, address] = await bearerd.waitForOutput(
      /"listener":"health","state":"listening","address":"([^"]+)"/,
    );
    let status = 0;
    for (let i = 0; i < 1_000 && status !== 200; i++) {
      status = (await fetch(`http://${address}/readyz`)).status;
      if (status !== 200) await sleep(40);
    }
    assert.equal(status, 200, bearerd.output());
  });
}
