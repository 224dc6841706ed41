// A policy in shadow tells what it would do, and does nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ISSUER, startInbound } from '../../support/inbound-world.ts';
import { until } from '../../support/until.ts';

const inbound = (more = '', all = '') => `
  mode: shadow
  issuers:
    idp: { issuer: "${ISSUER}", jwks_file: jwks.json, audience: orders }
  policies:
    - { name: admin, match: { paths: [/admin/] }, mode: enforce, scopes: [admin] }
    - { name: all, match: { paths: [/v1/] }, scopes: [orders.read], forward: { x-user: sub }, token: remove${all} }
${more}`;

const told = (world: Awaited<ReturnType<typeof startInbound>>) =>
  world.told.named('inboundRefused').map(([policy, reason, , mode]) => [policy, reason, mode]);

test('what would be refused goes on unchanged and is told with its reason, also without a policy', async (t) => {
  const world = await startInbound(t, inbound());
  for (const [path, reason] of [
    ['/v1/x', 'no_credential'],
    ['/elsewhere', 'unmatched'],
    ['/v1//x', 'ambiguous_path'],
  ] as const) {
    const { status, set, removed } = await world.ask({ path });
    assert.deepEqual([status, set, removed], [200, {}, ['x-user']], path);
    assert.equal(world.reasons().at(-1), reason);
  }
  assert.deepEqual([...new Set(told(world).map(([, , mode]) => mode))], ['shadow']);
});

test('a good token is let in and counted, its claims and removals left out', async (t) => {
  const world = await startInbound(t, inbound());
  const token = world.token({ scope: 'orders.read' });
  for (let i = 0; i < 2; i++) {
    const { status, set, removed } = await world.bearer(token, { path: '/v1/x' });
    assert.deepEqual([status, set, removed], [200, {}, ['x-user']]);
    await sleep(20);
  }
  assert.deepEqual(told(world), []);
});

test('nobody waits for the verdict on a token that is seen for the first time', async (t) => {
  const world = await startInbound(t, inbound());
  assert.equal((await world.bearer('a.b.c', { path: '/v1/x' })).status, 200);
  await until('the verdict', () => told(world).length === 1);
  assert.deepEqual(told(world), [['all', 'token_malformed', 'shadow']]);
});

test('a policy that enforces, and a contradiction about the side, are refused beside it', async (t) => {
  const world = await startInbound(t, inbound());
  assert.equal((await world.ask({ path: '/admin/x' })).status, 401);
  assert.equal((await world.bearer(world.token({ scope: 'a' }), { path: '/admin/x' })).status, 403);
  assert.equal((await world.ask({ path: '/v1/x', extensions: { side: 'outbound' } })).status, 403);
  assert.deepEqual(
    told(world).map(([, reason, mode]) => [reason, mode]),
    [
      ['no_credential', 'enforce'],
      ['scope', 'enforce'],
      ['side', 'enforce'],
    ],
  );
});

test('an origin’s preflight is the app’s, and a limit is told but not held', async (t) => {
  const cors = ', cors: { origins: ["https://app.example.com"] }, rate_limit: { requests: 1, per: 1m }';
  const world = await startInbound(t, inbound('', cors));
  const preflight = {
    method: 'OPTIONS',
    path: '/v1/x',
    headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' },
  };
  assert.equal((await world.ask(preflight)).status, 200);
  const token = world.token({ scope: 'orders.read' });
  for (let i = 0; i < 3; i++) {
    assert.equal((await world.bearer(token, { path: '/v1/x' })).status, 200);
    await sleep(20);
  }
  await until('the limit', () => world.reasons().includes('rate_limited'));
});
