import assert from 'node:assert/strict';
import { test } from 'node:test';
import { policyOfCluster, readPushedRequests } from '../../../../src/doors/push/envoy-statistics.ts';
import { configOf } from '../../../support/generate-config.ts';

const policyOf = policyOfCluster(
  configOf([
    { name: 'orders', hosts: ['orders.example.com'] },
    { name: 'read', hosts: ['bills.prod.svc.cluster.local'], methods: ['GET'] },
    { name: 'write', hosts: ['bills.prod.svc.cluster.local'], methods: ['POST'] },
  ]),
);
const read = (counts: Readonly<Record<string, unknown>>) =>
  readPushedRequests({ stats: Object.entries(counts).map(([name, value]) => ({ name, value })) }, policyOf);

test('requests of a policy are the attempts that the clusters with its injector saw (as Envoy 1.40 named them)', () => {
  const own = 'cluster.orders.orders.example.com';
  const mesh = 'cluster.outbound|80||orders.example.com;';
  const told = read({
    [`${own}.credential_injector.injected`]: 23,
    [`${own}.credential_injector.failed`]: 2,
    [`${own}.external.upstream_rq_401`]: 3,
    [`${own}.external.upstream_rq_completed`]: 8,
    [`${own}.retry.upstream_rq_401`]: 15,
    [`${own}.retry.upstream_rq_completed`]: 15,
    [`${own}.upstream_rq_401`]: 3,
    [`${own}.upstream_rq_completed`]: 8,
    [`${mesh}.credential_injector.injected`]: 1,
    [`${mesh}.upstream_rq_completed`]: 100,
    [`${mesh}.upstream_rq_401`]: 1,
  });
  assert.deepEqual(told, new Map([['orders', { enforced: 125, missing: 2, refused: 19 }]]));
});

test('what Envoy injects and does not count is known of nobody', () => {
  const injected = 'cluster.orders.orders.example.com.credential_injector.injected';
  assert.equal(read({ [injected]: 9 }).size, 1, 'their answers may be to come');
  assert.equal(read({ [injected]: 10 }).size, 0);
  assert.equal(
    read({ [injected]: 10, 'cluster.orders.orders.example.com.retry.upstream_rq_completed': 1 }).size,
    1,
  );
});

test('clusters without an injector, of others, or of several policies in a mesh count for nobody', () => {
  assert.equal(read({ 'cluster.orders.orders.example.com.upstream_rq_completed': 8 }).size, 0);
  assert.equal(
    read({
      'cluster.elsewhere.credential_injector.injected': 1,
      'cluster.outbound|80||bills.prod.svc.cluster.local.credential_injector.injected': 1,
    }).size,
    0,
  );
  assert.equal(read({ 'cluster.orders.orders.example.com.credential_injector.injected': '1' }).size, 0);
  for (const nonsense of [undefined, [], { stats: [null, 1, { name: 1 }] }]) {
    assert.equal(readPushedRequests(nonsense, policyOf).size, 0);
  }
});
