import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPushedSecrets } from '../../../../src/doors/push/pushed-secrets.ts';
import { swapSecrets } from '../../../../src/doors/push/swapped-secrets.ts';
import { Secret } from '../../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import type { Instead } from '../../../../src/policy/guard/versions.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeStore } from '../../../support/fake-store.ts';
import { configOf, outbound, type PolicySketch } from '../../../support/generate-config.ts';

const ORDERS: PolicySketch = { name: 'orders', hosts: ['orders.example.com'], source: 'new' };

function swap(before: Partial<PolicySketch>, others: readonly PolicySketch[] = []) {
  const insteads = new Map<string, Instead>([
    [
      'orders',
      { given: outbound(ORDERS), inForce: outbound({ ...ORDERS, source: 'old@1234abcd', ...before }) },
    ],
  ]);
  return swapSecrets(insteads, compilePolicies(configOf([ORDERS, ...others])).policies);
}

describe('secrets that the guard swaps', () => {
  it('the secret that Envoy asks for gets the content of the good version', () => {
    const { secrets, manifests } = swap({ prefix: 'Token ' });
    assert.equal(manifests.size, 0);
    const [name, made] = [...secrets][0]!;
    assert.equal(name, 'new');
    assert.deepEqual([made.source, made.allowedAs], ['old@1234abcd', 'new']);
    assert.equal('header' in made && made.header.valueOf('t'), 'Token t');
  });

  it('nothing is swapped where other hosts, other headers or another policy would be concerned, which is told', () => {
    for (const [result, why] of [
      [swap({ hosts: ['other.example.com'] }), /match was another/],
      [swap({ paths: [{ kind: 'prefix', value: '/v1/' }] }), /match was another/],
      [swap({ header: 'x-api-key' }), /headers were others: x-api-key/],
      [
        swap({}, [{ name: 'bills', hosts: ['bills.example.com'], source: 'new' }]),
        /also that of policy bills/,
      ],
    ] as const) {
      assert.equal(result.secrets.size, 0);
      assert.match(result.manifests.get('orders')!, why);
    }
  });

  it('a subscriber sees the one value and then the other, and nothing empty in between', () => {
    const store = new FakeStore();
    store.publish('new', 'n');
    store.publish('old@1234abcd', 'o');
    const policies = compilePolicies(configOf([ORDERS]));
    const secrets = createPushedSecrets({ store, policies, clock: new FakeClock() });
    const seen: string[] = [];
    const look = (): void => {
      const { type } = Secret.decode(subscription.current().resource.value);
      seen.push(type!.genericSecret.secret!.specifier!.inlineString);
    };
    const peer = { listener: 'xds', node: '' };
    const subscription = secrets.subscribe('new', new Set(['new']), peer, look)!;
    look();
    secrets.usePolicies(policies, swap({}).secrets);
    store.publish('new', 'n2');
    store.publish('old@1234abcd', 'o2');
    secrets.usePolicies(policies);
    assert.deepEqual(seen, ['Bearer n', 'Bearer o', 'Bearer o2', 'Bearer n2']);
  });
});
