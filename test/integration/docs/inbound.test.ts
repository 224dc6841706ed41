// Every example of docs/inbound.md runs, and does what the text beside it says.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startExchangeProvider } from '../../support/exchange-provider.ts';
import { startInbound } from '../../support/inbound-world.ts';

const text = readFileSync('docs/inbound.md', 'utf8');
const examples = new Map(
  [...text.matchAll(/^```yaml ([a-z.]+)\n([\s\S]*?)^```$/gm)].map(([, name, yaml]) => [name!, yaml!]),
);
/** What stands below `inbound:`. */
const inboundOf = (name: string) => `\n${examples.get(name)!.replace(/^[\s\S]*?^inbound:\n/m, '')}`;
const now = () => Math.floor(Date.now() / 1_000);

const runs: Readonly<Record<string, (t: TestContext) => Promise<void>>> = {
  async start(t) {
    const world = await startInbound(t, inboundOf('start'));
    const token = world.token({ scope: 'orders.read' });
    const { status, set } = await world.bearer(token, { path: '/v1/orders' });
    assert.equal(status, 200);
    assert.deepEqual(set, { 'x-user': 'alice' });
    assert.equal((await world.bearer(token, { path: '/admin' })).status, 403);
    assert.equal((await world.bearer(world.token(), { path: '/v1/orders' })).status, 403);
  },
  async rules(t) {
    const world = await startInbound(t, inboundOf('rules'));
    const claims = { tenant: 'acme', limits: { orders: 5 }, realm_access: { roles: ['clerk'] } };
    assert.equal((await world.ask({ path: '/healthz', address: '10.1.2.3' })).status, 200);
    assert.equal((await world.ask({ path: '/healthz', address: '192.0.2.1' })).status, 403);
    assert.equal((await world.bearer(world.token(claims), { path: '/v1/orders' })).status, 200);
    assert.equal(
      (await world.bearer(world.token({ ...claims, tenant: 'x' }), { path: '/v1/x' })).status,
      403,
    );
    const approval = { method: 'POST', path: '/v1/approvals/1' };
    const manager = { realm_access: { roles: ['manager'] }, acr: 'mfa', auth_time: now() };
    assert.equal((await world.bearer(world.token(claims), approval)).status, 401, 'a stronger login first');
    assert.equal(
      (await world.bearer(world.token({ ...claims, acr: 'mfa', auth_time: now() }), approval)).status,
      403,
    );
    assert.equal((await world.bearer(world.token(manager), approval)).status, 200);
  },
  async shadow(t) {
    const world = await startInbound(t, inboundOf('shadow'));
    assert.equal((await world.ask({ path: '/v1/x' })).status, 200);
    assert.equal((await world.ask({ path: '/admin/x' })).status, 401);
  },
  async revocation(t) {
    const world = await startInbound(t, inboundOf('revocation'), { 'revoked.jsonl': '\n' });
    const token = world.token({ jti: '7f3a9c' });
    assert.equal((await world.bearer(token)).status, 200);
    world.write('revoked.jsonl', '{"jti":"7f3a9c"}\n');
    while ((await world.bearer(token)).status !== 401) await sleep(10);
  },
  async keys(t) {
    const [, hash] = /sha256: ([0-9a-f]{64})/.exec(examples.get('keys.yaml')!)!;
    assert.equal(hash, createHash('sha256').update('KEY').digest('hex'), 'the hash of KEY');
    const world = await startInbound(t, inboundOf('keys'), { 'keys.yaml': examples.get('keys.yaml')! });
    const ask = (key: string) => world.ask({ path: '/partners/1', headers: { 'x-api-key': key } });
    while ((await ask('KEY')).status !== 200) await sleep(10);
    assert.equal((await ask('KEX')).status, 401);
  },
  async exchange(t) {
    const provider = await startExchangeProvider({ clientId: 'orders', clientSecret: 'secret' });
    t.after(() => provider.stop());
    const [settings, inbound] = examples
      .get('exchange')!
      .replaceAll(/"?https:\/\/idp.example.com"?/g, `"${provider.issuer}"`)
      .split(/^inbound:/m) as [string, string];
    const world = await startInbound(t, inbound, { 'client-secret': 'secret' }, { settings });
    const ann = await provider.userToken('ann', 60, { aud: 'orders' });
    const { status, set } = await world.bearer(ann, { path: '/v1/orders' });
    assert.equal(status, 200);
    const { sub, aud } = await provider.verify(set['authorization']!.replace('Bearer ', ''));
    assert.deepEqual([sub, aud], ['ann', 'urn:orders-internal']);
  },
  async proofs(t) {
    const { publicKey } = generateKeyPairSync('ed25519');
    const partners = JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'a' }] });
    const world = await startInbound(t, inboundOf('proofs'), { 'partners.json': partners });
    assert.equal((await world.bearer(world.token(), { path: '/pay/1' })).status, 401);
    assert.equal((await world.ask({ path: '/hooks/1' })).status, 401);
  },
};

for (const [name, run] of Object.entries(runs)) test(`the example "${name}" does what it says`, run);

test('no example is left out', () => {
  assert.deepEqual([...examples.keys()].sort(), [...Object.keys(runs), 'keys.yaml'].sort());
});
