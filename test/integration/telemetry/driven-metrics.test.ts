// What an operator is woken by is driven to its alarm, and back, and read from /metrics of a running bearerd: refused secrets,
// certificates, the clock against a provider's, the age of the revocation list, Redis.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { createAuthority } from '../../../demo/certificates.ts';
import { SECRET_TYPE_URL } from '../../../src/doors/push/secret-resource.ts';
import {
  DiscoveryRequest,
  DiscoveryResponse,
} from '../../../src/gen/envoy/service/discovery/v3/discovery.ts';
import { openStream } from '../../support/grpc-stream.ts';
import { ISSUER } from '../../support/inbound-world.ts';
import { startUpstream } from '../../support/loopback.ts';
import { startProcess } from '../../support/process.ts';
import { hasRedis, startRedis } from '../../support/redis.ts';
import { createTestKey, jwkSet } from '../../support/token-issuer.ts';

const AHEAD_MS = 120_000;

test('refused secrets, certificates, clock skew, the revocation list and Redis move their metrics, there and back', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-driven-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (file: string, text: string | Buffer) => writeFileSync(join(folder, file), text);
  const redis = hasRedis() ? await startRedis() : undefined;
  t.after(() => redis?.stop());
  // A provider whose clock is two minutes behind ours.
  const port = await startUpstream(t, (_, response) => {
    response.setHeader('date', new Date(Date.now() - AHEAD_MS).toUTCString());
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ access_token: 'token', token_type: 'Bearer', expires_in: 4 }));
  });
  const endpoint = `http://127.0.0.1:${port}/token`;
  const authority = await createAuthority(folder);
  const install = async (name: string, lifetimeMs: number) => {
    const { cert, key } = await authority.issue(name, 'server', { lifetimeMs });
    write('tls.key', readFileSync(key));
    write('tls.crt', readFileSync(cert));
    return Math.floor((Date.now() + lifetimeMs) / 1_000);
  };
  const firstEnd = await install('first', 3_600_000);
  write('jwks.json', jwkSet(createTestKey('one')));
  write('revoked.jsonl', '{"jti":"a"}\n');
  write('secret', 'secret');
  if (redis) write('cache-key', Buffer.alloc(32, 'k').toString('base64'));
  write(
    'bearerd.yaml',
    `version: 1
mode: development
listen:
  check: { address: "127.0.0.1:0", tls: { certificate: tls.crt, private_key: tls.key, client_ca: ${authority.ca}, allowed_uris: ["spiffe://a/*"] } }
  check_inbound: unix://${folder}/in.sock
  xds: unix://${folder}/xds.sock
  health: 127.0.0.1:0
sources:
  orders: { client_credentials: { token_endpoint: ${endpoint}, client_id: a, client_secret: { file: secret } } }
outbound: [{ name: orders, match: { hosts: [orders.example.com] }, inject: { source: orders } }]
inbound:
  issuers: { idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders } }
  revocation: { file: revoked.jsonl, max_age: 1h }
  policies: [{ name: api, match: {} }]
${redis ? `shared_cache: { redis: { address: "127.0.0.1:${redis.port}" }, tenant: a, keys: [{ file: cache-key }] }` : ''}
`,
  );
  const config = join(folder, 'bearerd.yaml');
  const bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', config]);
  t.after(() => bearerd.stop());
  const [, health] = await bearerd.waitForOutput(
    /"listener":"health","state":"listening","address":"([^"]+)"/,
  );
  const value = async (series: string): Promise<number> => {
    const text = await (await fetch(`http://${health}/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
  };
  const until = async (series: string, is: (value: number) => boolean): Promise<void> => {
    const end = performance.now() + 60_000;
    for (let seen = await value(series); !is(seen); seen = await value(series)) {
      assert.ok(performance.now() < end, `${series} is ${seen}\n${bearerd.output()}`);
      await sleep(50);
    }
  };

  // So that what is refused is not about to be replaced.
  await until('bearerd_credential_generation{source="orders"}', (n) => n >= 1);
  const client = new grpc.Client(`unix:${folder}/xds.sock`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const path = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
  const stream = openStream(client, path, DiscoveryRequest, DiscoveryResponse);
  const ask = (more: object = {}) =>
    stream.send({
      ...DiscoveryRequest.decode(new Uint8Array()),
      typeUrl: SECRET_TYPE_URL,
      resourceNames: ['orders'],
      ...more,
    });
  ask();
  const { nonce, versionInfo } = await stream.next();
  await until('bearerd_secret_subscribers{known="true"}', (n) => n === 1);
  ask({ responseNonce: nonce, errorDetail: { code: 3, message: 'no' } });
  await until('bearerd_secret_nacks_total', (n) => n === 1);
  const renewed = await stream.next();
  ask({ responseNonce: renewed.nonce, versionInfo: renewed.versionInfo });
  await until('bearerd_secret_acks_total', (n) => n === 1);
  assert.notEqual(renewed.versionInfo, versionInfo);
  stream.cancel();
  await until('bearerd_secret_subscribers{known="true"}', (n) => n === 0);

  const notAfter = 'bearerd_certificate_not_after_seconds{listener="check"}';
  assert.ok(Math.abs((await value(notAfter)) - firstEnd) <= 2);
  const secondEnd = await install('second', 7_200_000);
  await until(notAfter, (end) => Math.abs(end - secondEnd) <= 2);
  write('tls.crt', 'no certificate');
  await until('bearerd_certificates_refused_total{listener="check"}', (n) => n >= 1);
  assert.ok(Math.abs((await value(notAfter)) - secondEnd) <= 2, 'the last good one serves on');

  await until(
    `bearerd_clock_skew_seconds{provider="${endpoint}"}`,
    (s) => Math.abs(s - AHEAD_MS / 1_000) < 2,
  );

  const list = 'revocation list';
  assert.ok((await value(`bearerd_input_age_seconds{input="${list}"}`)) < 10);
  write('revoked.jsonl', 'no list');
  await until(`bearerd_inputs_refused_total{input="${list}"}`, (n) => n >= 1);
  await until(`bearerd_input_age_seconds{input="${list}"}`, (age) => age > 1);
  write('revoked.jsonl', '{"jti":"a"}\n{"jti":"b"}\n');
  await until(`bearerd_input_entries{input="${list}"}`, (n) => n === 2);
  await until(`bearerd_input_age_seconds{input="${list}"}`, (age) => age < 2);

  if (redis === undefined) return t.diagnostic('no Redis here: its metrics were not driven');
  await until('bearerd_shared_cache_up', (up) => up === 1);
  await redis.kill();
  await until('bearerd_shared_cache_up', (up) => up === 0);
  await redis.restart();
  await until('bearerd_shared_cache_up', (up) => up === 1);
});
