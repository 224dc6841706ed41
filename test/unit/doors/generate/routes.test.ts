// Which requests the generated routes hand to which policy, in both doors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { generateEnvoy } from '../../../../src/doors/generate/generate.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';
import { Bootstrap } from './envoy-router.ts';

const policies: readonly PolicySketch[] = [
  {
    name: 'orders',
    hosts: ['orders.prod.svc.cluster.local', 'orders.prod', '*.orders.example.com:8443'],
    methods: ['GET', 'POST'],
    paths: [{ kind: 'prefix', value: '/v1/' }],
  },
  { name: 'orders-rest', hosts: ['orders.prod'], source: 'other' },
  { name: 'exact', hosts: ['exact.example.com'], paths: [{ kind: 'exact', value: '/a.b' }] },
  { name: 'digits', hosts: ['exact.example.com'], paths: [{ kind: 'regex', value: '/n/[0-9]+' }] },
  { name: 'special', hosts: ['one.wild.example.com'], paths: [{ kind: 'prefix', value: '/s' }] },
  { name: 'wild', hosts: ['*.wild.example.com'] },
  { name: 'plain-port', hosts: ['eighty.example.com:80'] },
  { name: 'two-ports', hosts: ['ports.example.com:1', 'ports.example.com:2'] },
];

const table: readonly [request: string, policy: string | undefined][] = [
  ['GET orders.prod /v1/', 'orders'],
  ['GET orders.prod /v1', 'orders'],
  ['POST ORDERS.prod.svc.cluster.LOCAL:9999 /v1/x?a=/b', 'orders'],
  ['GET orders.prod. /v1/x', 'orders'],
  ['DELETE orders.prod /v1/x', 'orders-rest'],
  ['GET orders.prod /v10', 'orders-rest'],
  ['GET orders.prod.svc.cluster.local /v10', undefined],
  // An ambiguous path matches no path rule and no later rule of its host.
  ['GET orders.prod /v1//x', undefined],
  ['GET orders.prod /v10;a', undefined],
  ['GET orders.prod /v1/../admin', undefined],
  ['GET orders.prod /v1/..', undefined],
  ['GET orders.prod /v1/%2e%2E/admin', undefined],
  ['GET orders.prod /v1/%2e', undefined],
  ['GET orders.prod /v1/\u00e9', undefined],
  ['GET orders.prod /v1/%2Fx', undefined],
  ['GET orders.prod /v1/%5cx', undefined],
  ['GET orders.prod /v1\\x', undefined],
  ['GET orders.prod /v1/x?y=//;%2f', 'orders'],
  ['GET orders.prod /v1/x?\u00e9', 'orders'],
  ['GET orders.prod /v1?x', 'orders'],
  ['GET orders.prod /v1/..x', 'orders'],
  ['GET orders.prod:80 /v1/x', 'orders'],
  ['GET orders.prod.:80 /v1/x', 'orders'],
  ['GET a.orders.example.com:8443 /v1/x', 'orders'],
  ['GET a.b.orders.example.com:8443 /v1/x', 'orders'],
  ['GET a.orders.example.com /v1/x', undefined],
  ['GET a.orders.example.com:84430 /v1/x', undefined],
  ['GET orders.example.com:8443 /v1/x', undefined],
  ['GET eviorders.example.com:8443 /v1/x', undefined],
  ['GET exact.example.com /a.b', 'exact'],
  ['GET exact.example.com /a.b?x', 'exact'],
  ['GET exact.example.com /a-b', undefined],
  ['GET exact.example.com /a.b/', undefined],
  ['GET exact.example.com /n/12', 'digits'],
  ['GET exact.example.com /n/12/x', undefined],
  ['GET exact.example.com /n/x?/n/12', undefined],
  ['GET one.wild.example.com /s/x', 'special'],
  ['GET one.wild.example.com /t', 'wild'],
  ['GET two.wild.example.com /s//x', 'wild'],
  ['GET one.wild.example.com /s//x', undefined],
  ['GET wild.example.com /', undefined],
  ['GET eighty.example.com /', 'plain-port'],
  ['GET eighty.example.com:80 /', 'plain-port'],
  ['GET eighty.example.com:81 /', undefined],
  ['GET ports.example.com:2 /', 'two-ports'],
  ['GET ports.example.com /', undefined],
  ['GET unknown.example.com /v1/x', undefined],
];

for (const door of ['check', 'push', 'both'] as const) {
  describe(`routes of the ${door} door`, () => {
    const bootstrap = new Bootstrap(generateEnvoy(configOf(policies), { door }));
    for (const [request, policy] of table) {
      const [method, authority, path] = request.split(' ') as [string, string, string];
      test(`${request} ${policy === undefined ? 'gets no credential' : `gets that of ${policy}`}`, () => {
        assert.equal(bootstrap.policyFor(method, authority, path), policy);
      });
    }
  });
}

test('an ambiguous path is answered with 400 when the configuration says deny, in each door', () => {
  for (const door of ['check', 'push', 'both'] as const) {
    const yaml = generateEnvoy(configOf(policies, { ambiguousPath: 'deny' }), { door });
    assert.equal(new Bootstrap(yaml).route('GET', 'orders.prod', '/v1//x')?.direct_response?.status, 400);
  }
});

test('an ambiguous path is an ordinary one when the configuration says exact_bytes', () => {
  for (const door of ['check', 'push', 'both'] as const) {
    const yaml = generateEnvoy(configOf(policies, { ambiguousPath: 'exact_bytes' }), { door });
    assert.equal(new Bootstrap(yaml).policyFor('GET', 'orders.prod', '/v1//x'), 'orders');
  }
});

test('no domain stands in two virtual hosts, which Envoy would refuse', () => {
  const mixed = configOf([
    { name: 'a', hosts: ['x.y.svc.cluster.local', 'x.y'] },
    { name: 'b', hosts: ['x.y'], source: 'b' },
    { name: 'c', hosts: ['x.y.svc.cluster.local'], source: 'c' },
  ]);
  const bootstrap = new Bootstrap(generateEnvoy(mixed, { door: 'check' }));
  const domains = bootstrap.virtualHosts.flatMap((v) => v.domains);
  assert.deepEqual([...new Set(domains)].length, domains.length);
  assert.equal(bootstrap.policyFor('GET', 'x.y', '/'), 'a');
});

test('a short form in one policy and the long form in another each keep to their own policy', () => {
  const config = configOf([
    { name: 'a', hosts: ['x.y.svc.cluster.local', 'x.y'], paths: [{ kind: 'prefix', value: '/a' }] },
    { name: 'b', hosts: ['x.y'], source: 'b' },
  ]);
  for (const door of ['check', 'push'] as const) {
    const bootstrap = new Bootstrap(generateEnvoy(config, { door }));
    assert.equal(bootstrap.policyFor('GET', 'x.y', '/a'), 'a');
    assert.equal(bootstrap.policyFor('GET', 'x.y', '/b'), 'b');
    assert.equal(bootstrap.policyFor('GET', 'x.y.svc.cluster.local', '/b'), undefined);
  }
});

describe('denials', () => {
  const SHADOW = { mode: 'shadow', percent: undefined, by: undefined } as const;
  const sketch = (mode?: PolicySketch['mode']): PolicySketch[] => [
    { name: 'no-deletes', hosts: ['*.example.com'], methods: ['DELETE'], deny: 403, ...(mode && { mode }) },
    { name: 'orders', hosts: ['orders.example.com'], paths: [{ kind: 'prefix', value: '/v1' }] },
  ];
  const of = (door: 'check' | 'both' | 'attempt', mode?: PolicySketch['mode']) =>
    new Bootstrap(generateEnvoy(configOf(sketch(mode)), { door }));

  for (const door of ['check', 'both', 'attempt'] as const) {
    for (const mode of [undefined, SHADOW]) {
      test(`are asked for by check in front of ${door}, ${mode ? 'in shadow too' : 'in force'}, on the way that their requests go without them`, () => {
        const bootstrap = of(door, mode);
        const route = bootstrap.route('DELETE', 'orders.example.com', '/v1/x')!;
        const mark = door === 'check' ? 'no-deletes,orders' : 'no-deletes';
        assert.equal(bootstrap.policyFor('DELETE', 'orders.example.com', '/v1/x'), mark);
        const behind = bootstrap.route('GET', 'orders.example.com', '/v1/x')!;
        assert.equal(route.route!.cluster, behind.route!.cluster);
        assert.deepEqual(route.route!.retry_policy, behind.route!.retry_policy);
        assert.equal(bootstrap.policyFor('DELETE', 'a.example.com', '/'), 'no-deletes');
        assert.equal(bootstrap.policyFor('GET', 'a.example.com', '/'), undefined);
      });
    }
  }

  test('in shadow have no route where what is behind them goes several ways, and no say about ambiguous paths', () => {
    const paths = [{ kind: 'prefix', value: '/admin' }] as const;
    const policies: PolicySketch[] = [
      { name: 'no-admin', hosts: ['h'], paths, deny: 403, mode: SHADOW },
      { name: 'posts', hosts: ['h'], methods: ['POST'] },
      { name: 'rest', hosts: ['h'] },
    ];
    for (const door of ['check', 'both'] as const) {
      const bootstrap = new Bootstrap(generateEnvoy(configOf(policies, { ambiguousPath: 'deny' }), { door }));
      const watched = bootstrap.policyFor('POST', 'h', '/admin');
      assert.equal(watched, door === 'check' ? 'no-admin,posts,rest' : 'posts');
      assert.equal(bootstrap.policyFor('POST', 'h', '//admin'), 'posts');
    }
  });

  test('bind no host for the app’s own Authorization and need no TLS', () => {
    const config = configOf(
      [{ name: 'none', hosts: ['far.example.com:80'], deny: 403, allowPlaintext: false }],
      {
        unboundAuthorization: 'remove',
      },
    );
    const bootstrap = new Bootstrap(generateEnvoy(config, { door: 'check' }));
    assert.ok(bootstrap.filter('envoy.filters.http.header_mutation'), 'for every host');
  });
});
