// Generated configurations decide as policy/ does, over configurations and requests drawn at random: first those that were
// decided otherwise once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../../src/config/parse.ts';
import { outboundBodyLimits } from '../../../../src/doors/generate/body-limits.ts';
import { generateEnvoy } from '../../../../src/doors/generate/generate.ts';
import { clusterPatches } from '../../../../src/doors/generate/istio/cluster-patch.ts';
import { istioHosts, istioRefusals } from '../../../../src/doors/generate/istio/istio-hosts.ts';
import { planDoors } from '../../../../src/doors/generate/plan.ts';
import { plain } from '../../../../src/lib/commented-yaml.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import type { PolicyTable } from '../../../../src/policy/policy.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';
import { Bootstrap, holds } from './envoy-router.ts';

type Request = readonly [method: string, authority: string, path: string];

/** The policy whose credential the request gets. */
function decided(table: PolicyTable, [method, authority, path]: Request): string | undefined {
  const match = table.match(authority, method, path, 'http');
  return match === undefined || match === 'ambiguous_path' ? undefined : match.name;
}

/** bearerd injects where the route that asks names the policy. */
function generated(bootstrap: Bootstrap, table: PolicyTable, request: Request): string | undefined {
  const route = bootstrap.route(...request);
  const mark = route?.typed_per_filter_config?.['envoy.filters.http.ext_authz'] as
    | { readonly check_settings?: { readonly context_extensions: { readonly policy: string } } }
    | undefined;
  const asked = mark?.check_settings?.context_extensions.policy.split(',');
  if (asked === undefined) return bootstrap.policyFor(...request);
  const own = decided(table, request);
  return own !== undefined && asked.includes(own) ? own : undefined;
}

const PATHS = ['/v1', '/v1/'].map((value) => ({ kind: 'prefix', value }) as const);

const ONCE: readonly (readonly [
  what: string,
  policies: PolicySketch[],
  request: Request,
  policy?: string,
])[] = [
  [
    'a regular expression is tried after all others, whatever its place in the file',
    [
      { name: 'regex', hosts: ['h'], paths: [{ kind: 'regex', value: '/v[0-9]' }] },
      { name: 'rest', hosts: ['h'] },
    ],
    ['GET', 'h', '/v1'],
    'rest',
  ],
  [
    'a rule about paths of one port says nothing about ambiguous paths of another',
    [
      { name: 'v1', hosts: ['h:8443'], paths: PATHS },
      { name: 'rest', hosts: ['h'] },
    ],
    ['GET', 'h', '/v1//x'],
    'rest',
  ],
  [
    'an IPv6 host without a port has port 80',
    [
      { name: 'plain', hosts: ['[::1]:80'] },
      { name: 'rest', hosts: ['[::1]'] },
    ],
    ['GET', '[::1]', '/'],
    'plain',
  ],
  [
    'a port with zeros before it is no rule’s',
    [
      { name: 'plain', hosts: ['h:80'] },
      { name: 'rest', hosts: ['h'] },
    ],
    ['GET', 'h:080', '/'],
  ],
  [
    'a prefix that ends with two slashes covers itself with one',
    [{ name: 'v1', hosts: ['h'], paths: [{ kind: 'prefix', value: '/v1//' }] }],
    ['GET', 'h', '/v1/'],
    'v1',
  ],
];

/** The same numbers in every run. */
function drawing(seed: number) {
  let state = seed;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!;
  const some = <T>(of: readonly T[]): T[] => [...new Set([one(of), one(of)])];
  return { below, one, some };
}

const RULES = [
  ...PATHS,
  { kind: 'prefix', value: '/' },
  { kind: 'exact', value: '/v1/a' },
  { kind: 'regex', value: '/v1/[0-9]+' },
  { kind: 'regex', value: '/[a-z]+' },
] as const;
const ASKED = ['/', '/v1', '/v1/a', '/v10', '/v1/7', '/abc', '/v1//a', '/v1/../a', '/v1?x', '/?/v1'];
const METHODS = ['GET', 'POST'];

function sketches(
  { below, one, some }: ReturnType<typeof drawing>,
  hosts: readonly string[],
): PolicySketch[] {
  const ports = ['', '', ':80', ':8443'];
  return Array.from({ length: 1 + below(4) }, (_, i) => ({
    name: `p${i}`,
    hosts: some(hosts).map((host) => host + one(ports)),
    source: 's',
    header: one(['authorization', 'x-key']),
    ...(below(3) === 0 && { methods: [one(METHODS)] }),
    ...(below(2) === 0 && { paths: some(RULES) }),
    ...(below(4) === 0 && { source: 'other', neverStale: true }),
  }));
}

describe('what Envoy is told', () => {
  for (const [what, policies, request, policy] of ONCE) {
    test(what, () => {
      const config = configOf(policies);
      const table = compilePolicies(config);
      assert.equal(decided(table, request), policy);
      for (const door of ['check', 'push'] as const) {
        const bootstrap = new Bootstrap(generateEnvoy(config, { door }));
        assert.equal(generated(bootstrap, table, request), policy, door);
      }
    });
  }

  test('decides as policies do, through each door', () => {
    const draw = drawing(1);
    let requests = 0;
    for (let i = 0; i < 25; i++) {
      const policies = sketches(draw, ['h', 'a.h', '*.h', '*.a.h', 'x.y', 'x.y.svc.cluster.local', '[::1]']);
      const config = configOf(policies, {
        ambiguousPath: draw.one(['no_match', 'deny', 'exact_bytes'] as const),
      });
      const table = compilePolicies(config);
      for (const door of ['check', 'both'] as const) {
        const bootstrap = new Bootstrap(generateEnvoy(config, { door }));
        for (let j = 0; j < 30; j++, requests++) {
          const host = draw.one(['h', 'A.h', 'a.h.', 'b.a.h', 'x.y', 'x.y.svc.cluster.local', '[::1]', 'z']);
          const authority = host + draw.one(['', ':80', ':8443', ':1']);
          const request: Request = [draw.one(METHODS), authority, draw.one(ASKED)];
          assert.equal(
            generated(bootstrap, table, request),
            decided(table, request),
            `${door}: ${request.join(' ')} ${JSON.stringify(policies)}`,
          );
        }
      }
    }
    assert.equal(requests, 1_500);
  });
});

test('a limit by the body counts the requests that the policy gets', () => {
  const limits = (...names: string[]) => {
    const limit = ', rate_limit: { requests: 5, key: { body: [model] } }';
    const policies = [
      '{ name: regex, match: { hosts: [h], paths: [{ regex: "/v1/[a-z]+" }] }, inject: { source: s }',
      '{ name: v1, match: { hosts: [h], paths: [/v1/a] }, inject: { source: s }',
      '{ name: rest, match: { hosts: [h] }, inject: { source: s }',
    ].filter((policy) => names.some((name) => policy.includes(`name: ${name},`)));
    const text = `version: 1\nmode: development\nlisten: { check: "unix:///run/check.sock" }
sources: { s: { static: { value: { inline: key } } } }\noutbound:\n${policies.map((policy) => `  - ${policy}${limit} }\n`).join('')}`;
    const { count } = outboundBodyLimits(parseConfig(text, 'bearerd.yaml'));
    return (path: string) =>
      (plain(count) as Limit[])
        .filter(({ name }) => name.includes('local_ratelimit'))
        .filter(({ typed_config: { xds_matcher } }) => {
          const values = { ':method': 'POST', ':authority': 'h', ':path': path };
          return !holds(xds_matcher.matcher_list.matchers[0]!.predicate, values);
        })
        .map(({ name }) => name.split('.').at(-1));
  };
  // Regular expressions are tried after all others.
  assert.deepEqual(limits('regex', 'v1')('/v1/a'), ['v1']);
  assert.deepEqual(limits('regex', 'v1')('/v1/b'), ['regex']);
  assert.deepEqual(limits('regex', 'rest')('/v1/b'), ['rest']);
});

interface Limit {
  readonly name: string;
  readonly typed_config: {
    readonly xds_matcher: { readonly matcher_list: { readonly matchers: { readonly predicate: object }[] } };
  };
}

/** By the injectors of one cluster. */
function injected(filters: readonly Injector[], [method, authority, path]: Request): string[] {
  const values = { ':method': method, ':authority': authority, ':path': path };
  const headers = filters.flatMap(({ typed_config: { xds_matcher, extension_config } }) =>
    xds_matcher === undefined || holds(xds_matcher.matcher_list.matchers[0]!.predicate, values)
      ? []
      : [extension_config!.typed_config.credential.typed_config.header],
  );
  return [...new Set(headers)];
}

interface Injector {
  readonly typed_config: {
    readonly xds_matcher?: { readonly matcher_list: { readonly matchers: { readonly predicate: object }[] } };
    readonly extension_config?: {
      readonly typed_config: { readonly credential: { readonly typed_config: { readonly header: string } } };
    };
  };
}

test('a cluster of Istio injects what policies say, also where a request to one port comes without it in its host', () => {
  const draw = drawing(2);
  let requests = 0;
  let carried = 0;
  for (let i = 0; i < 150; i++) {
    const config = configOf(sketches(draw, ['x.y.svc.cluster.local', 'x.y', 'api.example.com']));
    const table = compilePolicies(config);
    const plan = planDoors(config, 'both');
    if (istioRefusals(plan).length > 0) continue;
    for (const host of istioHosts(plan)) {
      const filters = injectorsOf(config, host);
      const authority = `${host.name}${draw.one(host.port === undefined ? ['', ':80', ':1'] : ['', `:${host.port}`])}`;
      // An ambiguous path may be refused where the host says less than the cluster.
      for (const path of ASKED.filter((one) => !/\/\/|\.\./.test(one))) {
        const request: Request = [draw.one(METHODS), authority, path];
        const policy = host.policies.find(({ name }) => name === decided(table, request));
        const expected = policy?.door === 'push' ? policy.headers.map(({ name }) => name) : [];
        assert.deepEqual(
          injected(filters, request),
          expected,
          `${host.port} ${request.join(' ')} ${JSON.stringify(config.outbound)}`,
        );
        requests++;
        carried += expected.length;
      }
    }
  }
  assert.ok(requests > 500 && carried > 150, `${carried} of ${requests}`);
});

function injectorsOf(
  config: ReturnType<typeof configOf>,
  host: ReturnType<typeof istioHosts>[number],
): readonly Injector[] {
  const patch = plain(
    clusterPatches({ config, context: 'SIDECAR_OUTBOUND', clusterOptions: new Map(), tls: {} }, host)[0],
  ) as {
    readonly patch: {
      readonly value: { readonly typed_extension_protocol_options: Record<string, Options> };
    };
  };
  return Object.values(patch.patch.value.typed_extension_protocol_options)[0]!.http_filters ?? [];
}

interface Options {
  readonly http_filters?: readonly Injector[];
}
