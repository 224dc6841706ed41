// Who sends, through real Envoy with the generated configuration: client certificates, TLS, networks, DPoP, CORS, limits,
// revocation in two processes, and what happens while bearerd is away.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { calculateJwkThumbprint } from 'jose';
import { parseDocument } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import { createDpopProver } from '../../src/proof/dpop.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startInboundEnvoy } from '../support/inbound-envoy.ts';
import { goodClaims } from '../support/inbound-world.ts';
import { signToken } from '../support/token-issuer.ts';

const ISSUERS = `
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }`;
const SPIFFE = 'spiffe://cluster.local/ns/prod/sa/checkout';

for (const version of TESTED_ENVOYS) {
  for (const from of ['peer', 'xfcc'] as const) {
    test(`Envoy ${version}: a token is held to the client certificate (${from}), a policy to its SPIFFE name`, async (t) => {
      let authority!: Awaited<ReturnType<typeof createAuthority>>;
      const world = await startInboundEnvoy(t, {
        version,
        inbound: `
  client_certificate: ${from}${ISSUERS}
  policies:
    - { name: peers, match: { paths: [/peers/] }, peers: ["${SPIFFE}"], require_tls: true }
    - { name: bound, match: {}, bound: mtls }
`,
        tls: async (folder) => {
          authority = await createAuthority(folder);
          const { cert, key } = await authority.issue('api', 'server');
          return { certificate: cert, private_key: key, client_ca: authority.ca };
        },
      });
      const own = await authority.issue('checkout', 'client', { uris: [SPIFFE] });
      const other = await authority.issue('other', 'client', { uris: [`${SPIFFE}2`] });
      const thumbprint = createHash('sha256')
        .update(new X509Certificate(readFileSync(own.cert)).raw)
        .digest('base64url');
      const bound = signToken(world.key, { ...goodClaims(), cnf: { 'x5t#S256': thumbprint } });
      const free = signToken(world.key, goodClaims());
      const ask = (path: string, token: string, { cert, key }: typeof own, headers = {}) =>
        new Promise<number>((resolve, reject) => {
          const agent = new Agent({
            cert: readFileSync(cert),
            key: readFileSync(key),
            ca: readFileSync(authority.ca),
            servername: 'api',
          });
          const sent = { host: 'api.example.com', authorization: `Bearer ${token}`, ...headers };
          request({ host: '127.0.0.1', port: world.port, path, agent, headers: sent }, (answer) => {
            answer.resume();
            resolve(answer.statusCode!);
          })
            .on('error', reject)
            .end();
        });
      assert.equal(await ask('/x', bound, own), 200);
      assert.equal(await ask('/x', bound, other), 401, 'a stolen token with another certificate');
      assert.equal(await ask('/x', free, own), 401, 'an unbound token');
      assert.equal(await ask('/peers/', free, own), 200);
      assert.equal(await ask('/peers/', free, other), 403);
      const forged = { 'x-forwarded-client-cert': `Hash=${'0'.repeat(64)};URI=${SPIFFE}` };
      assert.equal(await ask('/peers/', free, other, forged), 403, 'a forged header');
    });
  }
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: require_tls refuses plain text, whatever the caller says of it`, async (t) => {
    let ca = '';
    const inbound = `${ISSUERS}
  policies:
    - { name: tls, match: {}, anonymous: true, require_tls: true }
`;
    const tls = async (folder: string) => {
      const authority = await createAuthority(folder);
      ca = authority.ca;
      const { cert, key } = await authority.issue('api', 'server');
      return { certificate: cert, private_key: key };
    };
    const plain = await startInboundEnvoy(t, { version, inbound, tls, patch: withoutTls });
    const forged = { 'x-forwarded-proto': 'https', forwarded: 'proto=https' };
    assert.equal((await plain.send('/', forged)).status, 403);
    const world = await startInboundEnvoy(t, { version, inbound, tls });
    const ask = (servername: string) =>
      new Promise<number>((resolve, reject) => {
        const agent = new Agent({ ca: readFileSync(ca), servername, checkServerIdentity: () => undefined });
        request({ host: '127.0.0.1', port: world.port, path: '/', agent }, (answer) => {
          answer.resume();
          resolve(answer.statusCode!);
        })
          .on('error', reject)
          .end();
      });
    assert.equal(await ask('api'), 200);
    assert.equal(await ask(''), 403, 'Envoy tells TLS without a name like plain text');
  });
}

/** As the plain half of a listener that takes both, which a mesh has until it is made strict. */
function withoutTls(yaml: string): string {
  const document = parseDocument(yaml);
  document.deleteIn(['static_resources', 'listeners', 0, 'filter_chains', 0, 'transport_socket']);
  return String(document);
}

test('networks: the connection counts, whatever X-Forwarded-For says', async (t) => {
  const world = await startInboundEnvoy(t, {
    inbound: `${ISSUERS}
  policies:
    - { name: local, match: { paths: [/local/] }, anonymous: true, networks: [127.0.0.0/8] }
    - { name: far, match: { paths: [/far/] }, anonymous: true, networks: [10.0.0.0/8] }
`,
  });
  const forged = { 'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'https', forwarded: 'for=10.0.0.1' };
  assert.equal((await world.send('/local/')).status, 200);
  assert.equal((await world.send('/far/')).status, 403);
  assert.equal((await world.send('/far/', forged)).status, 403);
  assert.equal((await world.send('/local/', forged)).status, 200);
});

test('trusted_hops: the proxy in front of Envoy tells the address, and only that one', async (t) => {
  const world = await startInboundEnvoy(t, {
    inbound: `
  trusted_hops: 1${ISSUERS}
  policies:
    - { name: far, match: {}, anonymous: true, networks: [10.0.0.0/8] }
`,
  });
  const status = async (forwarded: string) =>
    (await world.send('/', { 'x-forwarded-for': forwarded })).status;
  assert.equal(await status('10.0.0.1'), 200, 'the proxy saw 10.0.0.1');
  assert.equal(await status('192.0.2.1'), 403);
  assert.equal(await status('10.0.0.1, 192.0.2.1'), 403, 'what the caller itself wrote is further left');
  assert.equal((await world.send('/')).status, 403);
});

test('DPoP, CORS and limits reach the caller as their specifications say', async (t) => {
  const world = await startInboundEnvoy(t, {
    inbound: `${ISSUERS}
  policies:
    - { name: dpop, match: { paths: [/dpop/] }, bound: dpop, public_url: "https://api.example.com" }
    - name: cors
      match: { paths: [/cors/], methods: [GET, PUT] }
      cors: { origins: ["https://app.example.com"], methods: [GET, PUT] }
    - { name: limited, match: { paths: [/limited/] }, rate_limit: { requests: 2, per: 1h } }
`,
  });
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, string>;
  const token = signToken(world.key, {
    ...goodClaims(),
    cnf: { jkt: await calculateJwkThumbprint(publicJwk) },
  });
  const proof = createDpopProver(
    { privateKey, publicJwk },
    token,
  )({
    method: 'GET',
    htu: 'https://api.example.com/dpop/1',
    now: Date.now(),
    nonce: undefined,
  });
  const headers = { authorization: `DPoP ${token}`, dpop: proof };
  assert.equal((await world.send('/dpop/1?q=1', headers)).status, 200);
  const replayed = await world.send('/dpop/1?q=1', headers);
  assert.equal(replayed.status, 401);
  assert.match(String(replayed.headers['www-authenticate']), /^DPoP .*error="invalid_dpop_proof", algs="/);

  const preflight = { origin: 'https://app.example.com', 'access-control-request-method': 'PUT' };
  const answer = await world.send('/cors/1', preflight, 'OPTIONS');
  assert.equal(answer.status, 204);
  assert.equal(answer.headers['access-control-allow-origin'], 'https://app.example.com');
  const evil = await world.send('/cors/1', { ...preflight, origin: 'https://evil.example' }, 'OPTIONS');
  assert.equal(evil.status, 403);
  const authorization = `Bearer ${signToken(world.key, goodClaims())}`;
  const got = await world.send('/cors/1', { authorization, origin: 'https://app.example.com' });
  assert.equal(got.headers['access-control-allow-origin'], 'https://app.example.com');

  assert.equal(got.headers['vary'], 'accept-encoding,origin', 'the app’s own stays');

  for (const status of [200, 200, 429]) {
    const limited = await world.send('/limited/1', { authorization });
    assert.equal(limited.status, status);
    if (status === 429) {
      assert.ok(Number(limited.headers['retry-after']) > 1_000);
      assert.match(String(limited.headers['ratelimit']), /^"limited";r=0;t=\d+$/);
    }
  }
});

test('a revocation is in force in two processes within a second; while bearerd is away nobody comes in', async (t) => {
  const inbound = (file: string) => `${ISSUERS}
  revocation: { file: ${file} }
  policies: [{ name: api, match: {} }]
`;
  const one = await startInboundEnvoy(t, {
    inbound: inbound('revoked.jsonl'),
    files: { 'revoked.jsonl': '\n' },
  });
  const list = join(one.folder, 'revoked.jsonl');
  const two = await startInboundEnvoy(t, { inbound: inbound(list), files: {} });
  two.write('jwks.json', readFileSync(join(one.folder, 'jwks.json'), 'utf8'));
  const authorization = `Bearer ${signToken(one.key, { ...goodClaims(), jti: 'stolen' })}`;
  const both = () =>
    Promise.all([one, two].map(async (world) => (await world.send('/', { authorization })).status));
  while (!(await both()).every((status) => status === 200)) await sleep(50);
  const begun = performance.now();
  appendFileSync(list, '{"jti":"stolen"}\n');
  while (!(await both()).every((status) => status === 401)) await sleep(10);
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms until both refuse`);
  assert.ok(ms < 1_000, `${ms} ms`);

  const good = { authorization: `Bearer ${signToken(one.key, goodClaims())}` };
  assert.equal((await one.send('/', good)).status, 200);
  const arrived = one.arrived();
  await one.bearerd.stop();
  assert.equal((await one.send('/', good)).status, 503);
  assert.equal((await one.send('/')).status, 503);
  assert.equal(one.arrived(), arrived);
});
