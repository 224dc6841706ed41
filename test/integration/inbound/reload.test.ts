// A reload of the inbound side: new rules count, and what must outlive them does.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { calculateJwkThumbprint } from 'jose';
import { parseConfig } from '../../../src/config/parse.ts';
import { createInboundDoor } from '../../../src/doors/inbound/inbound-door.ts';
import { createLasting } from '../../../src/inbound/lasting.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createDpopProver } from '../../../src/proof/dpop.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { inboundRequest, readInboundAnswer } from '../../support/inbound-messages.ts';
import { goodClaims } from '../../support/inbound-world.ts';
import { createTestKey, jwkSet, signToken } from '../../support/token-issuer.ts';

test('a reload fills no bucket of a policy whose limits stay, and forgets no revocation', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-inbound-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const key = createTestKey('one');
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  writeFileSync(join(folder, 'revoked.jsonl'), '{"sub":"mallory"}\n');
  const lasting = createLasting(systemClock);
  async function start(limit: string, burst = 1) {
    const config = parseConfig(
      `version: 1
listen: { check_inbound: "unix://${folder}/in.sock" }
inbound:
  failed_attempts: { requests: 1, per: 1h, burst: ${burst} }
  revocation: { file: revoked.jsonl }
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }
  policies: [{ name: api, match: {}, rate_limit: { requests: ${limit}, per: 1h } }]
`,
      join(folder, 'bearerd.yaml'),
    );
    const deps = { clock: systemClock, env: {}, observer: nullObserver, random: Math.random, lasting };
    const door = createInboundDoor(config, config.inbound!, deps);
    t.after(() => door.stop());
    door.start();
    while (door.missing().length > 0) await sleep(5);
    return async (token: string) => {
      const call = { timeoutMs: 1_000, signal: new AbortController().signal };
      const headers = { authorization: `Bearer ${token}` };
      return readInboundAnswer(await door.check(inboundRequest({ headers }), call)).status;
    };
  }
  const good = signToken(key, goodClaims());
  const first = await start('1');
  assert.deepEqual([await first(good), await first(good)], [200, 429]);
  assert.deepEqual([await first('a.b.c'), await first('a.b.d')], [401, 429]);
  // Cut just before the reload: what was revoked stays so.
  writeFileSync(join(folder, 'revoked.jsonl'), '');
  const second = await start('1');
  assert.deepEqual([await second(good), await second('a.b.e')], [429, 429]);
  const third = await start('2', 9);
  assert.equal(await third(good), 200);
  assert.equal(await third(signToken(key, { ...goodClaims(), sub: 'mallory' })), 401);
});

test('a proof that was used, and the time that has run, are known after a reload', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-inbound-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const key = createTestKey('one');
  writeFileSync(join(folder, 'jwks.json'), jwkSet(key));
  let offsetMs = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + offsetMs };
  const lasting = createLasting(clock);
  async function start(policy: string) {
    const config = parseConfig(
      `version: 1
listen: { check_inbound: "unix://${folder}/in.sock" }
inbound:
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }
  policies: [{ name: api, match: {}, public_url: "https://api.example.com"${policy} }]
`,
      join(folder, 'bearerd.yaml'),
    );
    const deps = { clock, env: {}, observer: nullObserver, random: Math.random, lasting };
    const door = createInboundDoor(config, config.inbound!, deps);
    t.after(() => door.stop());
    door.start();
    while (door.missing().length > 0) await sleep(5);
    return async (headers: Record<string, string>) => {
      const call = { timeoutMs: 1_000, signal: new AbortController().signal };
      return readInboundAnswer(await door.check(inboundRequest({ headers }), call)).status;
    };
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as Record<string, string>;
  const token = signToken(key, { ...goodClaims(), cnf: { jkt: await calculateJwkThumbprint(publicJwk) } });
  const prove = createDpopProver({ privateKey, publicJwk }, token);
  const asked = { method: 'GET', htu: 'https://api.example.com/', now: Date.now(), nonce: undefined };
  const headers = { authorization: `DPoP ${token}`, dpop: prove(asked) };
  const old = {
    authorization: `Bearer ${signToken(key, { ...goodClaims(), exp: Math.floor(Date.now() / 1_000) - 60 })}`,
  };

  const first = await start('');
  assert.equal(await first(headers), 200);
  offsetMs = -600_000;
  const second = await start(', bound: dpop');
  assert.equal(await second(headers), 401, 'the used proof');
  assert.equal(await second({ ...headers, dpop: prove({ ...asked, now: Date.now() }) }), 200, 'a new one');
  assert.equal(await second(old), 401, 'an old token, although the clock was set back');
});
