// Who was let in, in the audit trail: names of verified callers, one record of each a minute, never a token.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuditObserver } from '../../../src/telemetry/audit/audit-observer.ts';
import type { AuditFields } from '../../../src/telemetry/audit/chain.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { ISSUER, startInbound } from '../../support/inbound-world.ts';

test('client, key id, or subject: whoever was verified, per policy; who was refused is not among them', async (t) => {
  const records: [event: string, fields: AuditFields][] = [];
  const log = { record: (event: string, fields: AuditFields) => void records.push([event, fields]) };
  const audit = createAuditObserver(log as Parameters<typeof createAuditObserver>[0], new FakeClock());
  const sha256 = createHash('sha256').update('KEY').digest('hex');
  const world = await startInbound(
    t,
    `
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
  api_keys: { file: keys.yaml }
  policies:
    - { name: health, match: { paths: [/healthz] }, anonymous: true }
    - { name: partners, match: { paths: [/partners/] }, api_keys: true }
    - { name: watched, match: { paths: [/watched/] }, mode: shadow, scopes: [a] }
    - { name: api, match: {} }
`,
    { 'keys.yaml': `keys: [{ id: globex, sha256: "${sha256}", state: active }]\n` },
    { audit: audit.observer },
  );
  const shop = world.token();
  const user = world.token({ client_id: undefined });
  for (let i = 0; i < 50; i++) {
    assert.equal((await world.bearer(shop)).status, 200);
    // The same token by turns: each policy counts its own.
    if (i < 10) assert.equal((await world.bearer(shop, { path: '/partners/1' })).status, 200);
  }
  assert.equal((await world.bearer(user)).status, 200);
  const key = { path: '/partners/1', headers: { 'x-api-key': 'KEY' } };
  while ((await world.ask(key)).status !== 200) await sleep(10);
  await world.ask({ path: '/healthz' });
  assert.equal((await world.bearer(world.token({ aud: 'other', client_id: 'evil' }))).status, 401);
  assert.equal((await world.bearer(shop, { path: '/watched/' })).status, 200, 'without the scope');
  assert.equal(records.filter(([event]) => event === 'inbound_accepted').length, 0, 'nothing per request');
  audit.stop();
  const accepted = records.filter(([event]) => event === 'inbound_accepted').map(([, fields]) => fields);
  assert.deepEqual(
    accepted.map(({ policy, issuer, caller, count }) => [policy, issuer, caller, count]),
    [
      ['api', 'idp', 'shop', 50],
      ['api', 'idp', 'alice', 1],
      ['partners', 'idp', 'shop', 10],
      ['partners', undefined, 'globex', 1],
      ['health', undefined, undefined, 1],
    ],
  );
  assert.doesNotMatch(JSON.stringify(records), /eyJ|KEY/);
});
