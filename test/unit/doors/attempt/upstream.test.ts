import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createUpstreamGuard, readUpstream, UNTOLD } from '../../../../src/doors/attempt/upstream.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';

function guardOf(...sketches: PolicySketch[]) {
  return guardWith(new Set(), ...sketches);
}

function guardWith(plain: Set<string>, ...sketches: PolicySketch[]) {
  const table = compilePolicies(configOf(sketches));
  const guard = createUpstreamGuard(table, plain);
  return (told: Record<string, string>, index = 0, host = 'orders.example.com') =>
    guard.refusal(table.policies[index]!, readUpstream(new Map(Object.entries(told))), {
      host,
      scheme: 'http',
    });
}

const told = (cluster: string, protocol = '', tls = '') => ({
  'bearerd-upstream-cluster': cluster,
  ...(protocol === '' ? {} : { 'bearerd-upstream-protocol': protocol }),
  ...(tls === '' ? {} : { 'bearerd-upstream-tls': tls }),
});
const closed = { name: 'orders', hosts: ['orders.example.com'], allowPlaintext: false };

test('a connection without TLS draws no credential unless the policy allows it', () => {
  const refusal = guardOf(closed, { ...closed, name: 'open', allowPlaintext: true });
  assert.equal(refusal(told('a', 'HTTP/1.1', 'TLSv1.3')), undefined);
  assert.equal(refusal(told('a', 'HTTP/1.1')), 'plaintext_upstream');
  assert.equal(refusal(told('a', 'HTTP/2')), 'plaintext_upstream');
  assert.equal(refusal(told('a', 'HTTP/1.1'), 1), undefined);
});

test('a new connection is taken for what the last one of its cluster was', () => {
  const refusal = guardOf(closed);
  assert.equal(refusal(told('a')), undefined, 'nothing is known yet');
  assert.equal(refusal(told('a', 'HTTP/1.1')), 'plaintext_upstream');
  assert.equal(refusal(told('a')), 'plaintext_upstream');
  assert.equal(refusal(told('b')), undefined, 'another cluster');
  assert.equal(refusal(told('a', 'HTTP/1.1', 'TLSv1.3')), undefined);
  assert.equal(refusal(told('a')), undefined);
});

test('what was learned of a cluster outlives the configuration', () => {
  const plain = new Set<string>();
  assert.equal(guardWith(plain, closed)(told('a', 'HTTP/1.1')), 'plaintext_upstream');
  assert.equal(guardWith(plain, closed)(told('a')), 'plaintext_upstream');
  assert.equal(guardWith(plain, { ...closed, allowPlaintext: true })(told('a')), undefined);
});

test('a filter that tells nothing, of an older generator, is not judged', () => {
  assert.deepEqual(readUpstream(new Map()), UNTOLD);
  assert.equal(guardOf(closed)({}), undefined);
});

test('a cluster of Istio draws a credential only for hosts of the policy', () => {
  const policy = { ...closed, hosts: ['orders.shop.svc.cluster.local', 'api.example.com:443'] };
  const refusal = guardOf(policy);
  const host = 'orders.shop.svc.cluster.local';
  for (const [cluster, app, expected] of [
    ['outbound|8080||orders.shop.svc.cluster.local', host, undefined],
    ['outbound|8080|v2|orders.shop.svc.cluster.local', host, undefined],
    ['outbound|80||api.example.com', 'api.example.com:443', undefined],
    ['outbound|8080||evil.shop.svc.cluster.local', host, 'unbound_upstream'],
    ['outbound|80||orders.shop.svc.cluster.local.evil.example', host, 'unbound_upstream'],
    ['inbound|8080||', host, 'unbound_upstream'],
    ['PassthroughCluster', host, 'unbound_upstream'],
    ['orders.of-their-own', host, undefined],
  ] as const) {
    const tls = told(cluster, 'HTTP/1.1', 'TLSv1.3');
    assert.equal(refusal(tls, 0, app), expected, cluster);
    assert.equal(refusal(tls, 0, app), expected, `${cluster}, remembered`);
  }
});

test('what one request was told of a cluster of Istio is no verdict on requests for another host or port', () => {
  const hosts = ['a.shop.svc.cluster.local:8080', 'b.shop.svc.cluster.local:9090'];
  const b = told('outbound|9090||b.shop.svc.cluster.local', 'HTTP/1.1', 'TLSv1.3');
  const refusal = guardOf({ ...closed, hosts });
  for (const round of ['first', 'again']) {
    assert.equal(refusal(b, 0, hosts[0]), 'unbound_upstream', round);
    assert.equal(refusal(b, 0, hosts[1]), undefined, round);
  }
});
