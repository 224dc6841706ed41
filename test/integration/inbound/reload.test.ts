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
