import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../../../src/config/parse.ts';
import { readClusterDump } from '../../../../src/doors/generate/istio/cluster-dump.ts';
import { type GenerateIstioOptions, generateIstio } from '../../../../src/doors/generate/istio/istio.ts';
import { GenerateError } from '../../../../src/doors/generate/problems.ts';
import { KEPT_STATISTICS } from '../../../../src/doors/push/envoy-statistics.ts';
import { ISTIO_OPTIONS } from '../../../support/istio-options.ts';

const config = (outbound: string) =>
  parseConfig(
    `version: 1
mode: development
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources:
  a: { client_credentials: { token_endpoint: "https://idp.example.com/token", client_id: a, client_secret: { inline: s } } }
  b: { static: { value: { inline: key } } }
outbound:
${outbound}`,
    'bearerd.yaml',
  );

const ORDERS =
  '  - { name: orders, match: { services: [orders.shop], paths: [/v1/] }, inject: { source: a } }\n';

interface Patch {
  readonly applyTo: string;
  readonly match: Record<string, never>;
  readonly patch: { readonly operation: string; readonly value: Record<string, unknown> };
}
interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly configPatches: Patch[]; readonly [field: string]: unknown };
}

function documents(outbound: string, options: Partial<GenerateIstioOptions> = {}): Manifest[] {
  const text = generateIstio(config(outbound), { ...ISTIO_OPTIONS, ...options });
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}
const patchesOf = (all: Manifest[], name: string): Patch[] =>
  all.find(({ metadata }) => metadata.name === name)?.spec.configPatches ?? [];

function problems(outbound: string, options: Partial<GenerateIstioOptions> = {}): string {
  try {
    generateIstio(config(outbound), { ...ISTIO_OPTIONS, ...options });
  } catch (error) {
    assert.ok(error instanceof GenerateError);
    return error.problems.join('\n');
  }
  return '';
}

describe('generate istio', () => {
  test('prints what a sidecar has to count for the guard of a policy by push, and for no other', () => {
    const annotation = (outbound: string, door: 'best' | 'check') => {
      const lines = generateIstio(config(outbound), { ...ISTIO_OPTIONS, door }).split('\n');
      const at = lines.findIndex((line) => /^# +proxy\.istio\.io\/config: \|$/.test(line));
      if (at === -1) return undefined;
      const text = lines.slice(at, at + 7).map((line) => line.replace(/^# {3}/, ''));
      const [first] = parseAllDocuments(text.join('\n'));
      return parseAllDocuments(
        (first!.toJS() as Record<string, string>)['proxy.istio.io/config']!,
      )[0]!.toJS();
    };
    const guarded = ORDERS.replace(' }\n', ', guard: {} }\n');
    const byPush = `${guarded.replace('source: a', 'source: b')}envoy_admin: 127.0.0.1:15000\n`;
    assert.deepEqual(annotation(byPush, 'best'), {
      proxyStatsMatcher: { inclusionSuffixes: [...KEPT_STATISTICS] },
    });
    assert.equal(annotation(byPush, 'check'), undefined);
    assert.equal(annotation(ORDERS, 'best'), undefined);
  });

  test('writes the same text for the same input', () => {
    const once = generateIstio(config(ORDERS), ISTIO_OPTIONS);
    assert.equal(generateIstio(config(ORDERS), ISTIO_OPTIONS), once);
  });

  test('gives each set of Envoys of a namespace objects of its own', () => {
    const sets: Partial<GenerateIstioOptions>[] = [
      {},
      { context: 'egress' },
      { selector: { app: 'checkout' } },
      { selector: { 'app.kubernetes.io/name': 'Cart_1' } },
    ];
    const names = sets.flatMap((options) =>
      documents(ORDERS, { door: 'check', ...options }).map(({ metadata }) => metadata.name),
    );
    assert.deepEqual(names.filter((name) => name.startsWith('bearerd-check')).sort(), [
      'bearerd-check',
      'bearerd-check-app-checkout',
      'bearerd-check-app.kubernetes.io-name-cart-1',
      'bearerd-check-gateway',
    ]);
    assert.equal(new Set(names).size, names.length);
  });

  test('marks only the hosts of the check door, with all policies of each', () => {
    const two = `${ORDERS}  - { name: rest, match: { services: [orders.shop] }, inject: { source: b } }\n`;
    const marks = patchesOf(documents(two, { door: 'check' }), 'bearerd-check').filter(
      ({ applyTo }) => applyTo === 'VIRTUAL_HOST',
    );
    assert.equal(marks.length, 1);
    assert.match(JSON.stringify(marks[0]), /"policy":"orders,rest"/);
    assert.match(JSON.stringify(marks[0]!.match), /"domainName":"orders\.shop\.svc\.cluster\.local"/);
  });

  test('what holds for one port of a host is said after what holds for all, since Istio merges in that order', () => {
    const policies = `  - { name: one, match: { hosts: ["api.example.com:8443"] }, inject: { source: a, header: x-one } }
  - { name: all, match: { hosts: [api.example.com] }, inject: { source: a } }\n`;
    for (const [door, name] of [
      ['check', 'bearerd-check'],
      ['push', 'bearerd-upstreams'],
      ['push', 'bearerd-retries'],
    ] as const) {
      const matches = patchesOf(documents(policies, { door }), name)
        .filter(({ applyTo }) => applyTo !== 'HTTP_FILTER')
        .map(({ match }) => /8443/.test(JSON.stringify(match)));
      assert.deepEqual(matches, [false, true], name);
    }
  });

  test('a limit by the body holds it back before every filter and counts before the router, without requests of earlier policies', () => {
    const limited = ORDERS.replace(' }\n', ', rate_limit: { requests: 5, key: { body: [model] } } }\n');
    const first =
      '  - { name: puts, match: { services: [orders.shop], methods: [PUT] }, inject: { source: a } }\n';
    const patches = patchesOf(documents(first + limited), 'bearerd-body-limits');
    assert.deepEqual(
      patches.map(({ patch }) => [patch.operation, patch.value['name']]),
      [
        ['INSERT_FIRST', 'bearerd.buffer.orders'],
        ['INSERT_BEFORE', 'bearerd.json_to_metadata.orders'],
        ['INSERT_BEFORE', 'bearerd.local_ratelimit.orders'],
      ],
    );
    for (const patch of patches) assert.match(JSON.stringify(patch), /"exact":"PUT"/);
    const priorities = documents(first + limited)
      .filter(({ kind }) => kind === 'EnvoyFilter')
      .map(({ metadata, spec }) => [metadata.name, spec['priority']]);
    assert.deepEqual(
      priorities.filter(([, priority]) => priority !== undefined),
      [['bearerd-body-limits', -10]],
    );
    assert.deepEqual(
      patchesOf(
        documents(first + limited.replace('inject:', 'mode: shadow, inject:')),
        'bearerd-body-limits',
      ),
      [],
    );
    const regex = limited.replace('[/v1/]', '[{ regex: "/v1/.*" }]');
    assert.match(problems(regex), /outbound\.orders has rate_limit\.key\.body: regex .* into the query/);
    const before = first.replace('methods: [PUT]', 'paths: [{ regex: "/v1/.*" }]');
    assert.match(
      problems(before + limited.replace('[/v1/]', '[{ regex: "/v1/[a-z]+" }]')),
      /outbound\.orders has rate_limit\.key\.body, and its host is one of puts, before it: regex \/v1\/\.\* of puts could match into the query/,
    );
    const elsewhere = before.replace('services: [orders.shop]', 'hosts: [myorders.shop]');
    assert.equal(patchesOf(documents(elsewhere + limited), 'bearerd-body-limits').length, 3);
  });

  test('a denial asks for its host alone, and not where every attempt is asked for anyway', () => {
    const denial =
      '  - { name: no-deletes, match: { services: [orders.shop], methods: [DELETE] }, deny: true }\n';
    const marks = (door: 'push' | 'both' | 'attempt') =>
      patchesOf(documents(denial + ORDERS, { door }), 'bearerd-check').filter(
        ({ applyTo }) => applyTo === 'VIRTUAL_HOST',
      );
    assert.match(JSON.stringify(marks('both')), /"policy":"no-deletes"/);
    assert.deepEqual(marks('attempt'), []);
    assert.match(
      problems(denial + ORDERS, { door: 'push' }),
      /outbound\.no-deletes\.deny cannot be served by push/,
    );
  });

  test('what an earlier policy has from check is no injector’s of the same cluster', () => {
    const two = `  - { name: first, match: { services: [orders.shop], methods: [PUT] }, inject: { source: b }, never_stale: true }\n${ORDERS}`;
    const [patch] = patchesOf(documents(two, { door: 'both' }), 'bearerd-upstreams');
    assert.match(
      JSON.stringify(patch),
      /"not_matcher":\{"single_predicate":\{"input":\{"name":"method"[^}]*\}\},"value_match":\{"exact":"PUT"\}/,
    );
  });

  test('refuses an injector that could not tell an earlier policy’s requests from its own', () => {
    const first = (regex: string) =>
      `  - { name: first, match: { services: [orders.shop], paths: [{ regex: "${regex}" }] }, inject: { source: b }, never_stale: true }\n${ORDERS.replace('[/v1/]', '[{ regex: "/v1/x[0-9]" }]')}`;
    assert.match(
      problems(first('/v1/.*'), { door: 'both' }),
      /regex \/v1\/\.\* of first could match into the query, so that orders by push would take its requests/,
    );
    assert.equal(problems(first('/v1/.*'), { door: 'check' }), '');
    assert.equal(problems(first('/v1/[^?/]+'), { door: 'both' }), '');
  });

  test('regular expressions are tried last, so one behind another policy takes none of its requests', () => {
    const regex = '  - { name: first, match: { services: [orders.shop], paths: [{ regex: "/v1/.*" }] }';
    const served = ', inject: { source: b }, never_stale: true }\n';
    assert.equal(problems(regex + served + ORDERS, { door: 'both' }), '');
    // Held to the policies by decision.test.ts.
    const mixed = ORDERS.replace('[/v1/]', '[/v1/, { regex: "/v2/[a-z]+" }]');
    const rest = `  - { name: rest, match: { services: [orders.shop] }${served}`;
    const [patch] = patchesOf(documents(mixed + rest, { door: 'both' }), 'bearerd-upstreams');
    assert.equal(JSON.stringify(patch).match(/"bearerd.inject"/g)?.length, 2);
  });

  test('takes all ports of a host for one at a gateway, which has a port of its own', () => {
    const ports =
      '  - { name: one, match: { hosts: ["api.example.com:8443"] }, inject: { source: a } }\n' +
      '  - { name: two, match: { hosts: ["api.example.com:9443"] }, inject: { source: b } }\n';
    const routes = (context: 'egress' | 'sidecar') =>
      documents(ports, { door: 'check', context })
        .flatMap(({ kind, spec }) => (kind === 'EnvoyFilter' ? spec.configPatches : []))
        .filter(({ applyTo }) => applyTo === 'VIRTUAL_HOST')
        .map(({ match, patch }) => JSON.stringify([match['routeConfiguration'], patch.value]));
    const [gateway, ...others] = routes('egress');
    assert.deepEqual(others, []);
    assert.match(gateway!, /"domainName":"api\.example\.com".*"policy":"one,two"/);
    assert.deepEqual(
      routes('sidecar').map((patch) => /"name":"([^"]+)".*"policy":"([^"]+)"/.exec(patch)!.slice(1)),
      [
        ['api.example.com:8443', 'one'],
        ['api.example.com:9443', 'two'],
      ],
    );
  });

  test('keeps the cluster of the check door through a change of doors', () => {
    assert.match(
      JSON.stringify(patchesOf(documents(ORDERS, { door: 'push' }), 'bearerd-clusters')),
      /"bearerd_check"/,
    );
  });

  test('carries the options of the protocol whole, with the upstream codec last and once', () => {
    const two = `${ORDERS}  - { name: more, match: { services: [orders.shop], paths: [/v2/] }, inject: { source: a } }\n`;
    const [patch] = patchesOf(documents(two, { door: 'push' }), 'bearerd-upstreams');
    const options = Object.values(patch!.patch.value['typed_extension_protocol_options']! as object)[0] as {
      use_downstream_protocol_config: object;
      http_filters: { name: string }[];
    };
    assert.ok(options.use_downstream_protocol_config);
    assert.deepEqual(
      options.http_filters.map(({ name }) => name),
      ['bearerd.inject', 'bearerd.inject', 'envoy.filters.http.upstream_codec'],
    );
  });

  test('keeps what the cluster said of HTTP where it is known', () => {
    const dump = {
      configs: [
        {
          dynamic_active_clusters: [
            {
              cluster: {
                name: 'outbound|80||orders.shop.svc.cluster.local',
                typed_extension_protocol_options: {
                  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
                    '@type': 'x',
                    common_http_protocol_options: { idle_timeout: '30s' },
                    explicit_http_config: { http2_protocol_options: {} },
                    http_filters: [{ name: 'old' }],
                  },
                },
              },
            },
          ],
        },
      ],
    };
    const all = documents(ORDERS, { clusterOptions: readClusterDump(dump) });
    const text = JSON.stringify(patchesOf(all, 'bearerd-upstreams'));
    assert.match(text, /"idle_timeout":"30s"/);
    assert.match(text, /"explicit_http_config"/);
    assert.doesNotMatch(text, /use_downstream_protocol_config|"old"/);
  });

  test('names a DestinationRule that allows few retries, where its host is healed', () => {
    const dump = (max_retries?: number) =>
      readClusterDump([
        {
          cluster: {
            name: 'outbound|80||orders.shop.svc.cluster.local',
            circuit_breakers: { thresholds: [{ max_retries }, { max_retries: 4_096 }] },
          },
        },
      ]);
    const text = (max_retries?: number, door: 'check' | 'push' = 'push') =>
      generateIstio(config(ORDERS), { ...ISTIO_OPTIONS, door, clusterOptions: dump(max_retries) });
    assert.match(text(10), /# TOO FEW RETRIES: .* orders\.shop\.svc\.cluster\.local lets 10 run at once/);
    assert.match(text(), /lets 3 run at once/);
    for (const enough of [
      text(4_294_967_295),
      text(10, 'check'),
      generateIstio(config(ORDERS), ISTIO_OPTIONS),
    ])
      assert.doesNotMatch(enough, /TOO FEW RETRIES/);
  });

  test('refuses a service whose cluster sends plain text, unless that is declared, and says what nobody saw', () => {
    const production = (more = '') =>
      parseConfig(
        `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources: { a: { static: { value: { file: /key } } } }
outbound:
  - { name: orders, match: { services: [orders.shop] }, inject: { source: a }${more} }
  - { name: api, match: { hosts: [api.example.com] }, inject: { source: a } }`,
        'bearerd.yaml',
      );
    const dump = (...clusters: object[]) =>
      readClusterDump(
        clusters.map((own, i) => ({
          cluster: { name: `outbound|80|${i === 0 ? '' : `v${i}`}|orders.shop.svc.cluster.local`, ...own },
        })),
      );
    const tls = { transport_socket_matches: [{ name: 'tlsMode-istio' }, { name: 'tlsMode-disabled' }] };
    const text = (more: string, clusterOptions: ReturnType<typeof dump>) =>
      generateIstio(production(more), { ...ISTIO_OPTIONS, clusterOptions });
    for (const plain of [dump({}), dump({}, tls), dump(tls, {})])
      assert.throws(
        () => text('', plain),
        /host orders\.shop\.svc\.cluster\.local: its cluster .* has no TLS/,
      );
    assert.match(text('', dump(tls)), /^# Made by .*\n# Apply it once the pods concerned have bearerd: /);
    assert.doesNotMatch(text('', dump(tls)), /NOT SEEN/);
    assert.doesNotMatch(text(', allow_plaintext: true', dump({})), /NOT SEEN/);
    assert.match(
      text('', dump()),
      /# NOT SEEN HERE: whether the mesh encrypts what goes to orders\.shop\.svc\.cluster\.local, and whose certificate it takes\.\n/,
    );
  });

  test('reaches hosts outside the mesh by TLS, and says loudly that apps must not speak it themselves', () => {
    const outside = '  - { name: api, match: { hosts: [api.example.com] }, inject: { source: a } }\n';
    const all = documents(outside);
    const entry = all.find(({ kind }) => kind === 'ServiceEntry')!;
    assert.deepEqual(entry.spec['ports'], [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 443 }]);
    assert.ok(all.some(({ kind }) => kind === 'DestinationRule'));
    assert.match(
      generateIstio(config(outside), ISTIO_OPTIONS),
      /# OUTSIDE THE MESH: api\.example\.com\. Apps must call http:/,
    );
  });

  test('changes a host outside for its own namespace alone, and at a gateway for who sends there', () => {
    const outside = '  - { name: api, match: { hosts: [api.example.com] }, inject: { source: a } }\n';
    for (const [context, seen] of [
      ['sidecar', ['.']],
      ['egress', undefined],
    ] as const) {
      const made = documents(outside, { context }).filter(({ kind }) => kind !== 'EnvoyFilter');
      assert.deepEqual(
        made.map(({ spec }) => spec['exportTo']),
        [seen, seen],
      );
    }
  });

  test('keeps the check of the name in a patch of a host outside, and touches none of a service', () => {
    const outside = '  - { name: api, match: { hosts: [api.example.com] }, inject: { source: a } }\n';
    const checked = (outbound: string, sni?: string) => {
      const tls = sni === undefined ? {} : { tls: { 'api.example.com': { ca: '/ca', sni } } };
      const [patch] = patchesOf(documents(outbound, { door: 'push', ...tls }), 'bearerd-upstreams');
      return /"auto_sni":true,"auto_san_validation":true/.test(JSON.stringify(patch!.patch.value));
    };
    assert.deepEqual(
      [checked(outside), checked(outside, 'other.example.com'), checked(ORDERS)],
      [true, false, false],
    );
  });

  test('names a host outside once, with all its ports, and shows a client certificate where one is stated', () => {
    const outside =
      '  - { name: api, match: { hosts: [api.example.com, "api.example.com:8443"] }, inject: { source: a } }\n';
    const all = documents(outside, { tls: { 'api.example.com': { ca: '/ca', cert: '/cert', key: '/key' } } });
    const [entry, rule] = all.filter(({ kind }) => kind !== 'EnvoyFilter');
    assert.deepEqual(
      (entry!.spec['ports'] as { number: number }[]).map(({ number }) => number),
      [80, 8443],
    );
    assert.deepEqual(rule!.spec['trafficPolicy'], {
      tls: {
        mode: 'MUTUAL',
        clientCertificate: '/cert',
        privateKey: '/key',
        caCertificates: '/ca',
        sni: 'api.example.com',
        subjectAltNames: ['api.example.com'],
      },
    });
    assert.equal(all.filter(({ kind }) => kind !== 'EnvoyFilter').length, 2);
  });

  test('says which providers inside the mesh refuse bearerd under STRICT mTLS', () => {
    const inside = parseConfig(
      `version: 1
listen: { xds: "unix:///run/bearerd/xds.sock" }
sources:
  a: { client_credentials: { token_endpoint: "https://idp.auth.svc.cluster.local:8443/token", client_id: a, client_secret: { file: /s } } }
outbound:
${ORDERS}`,
      'bearerd.yaml',
    );
    assert.match(
      generateIstio(inside, { ...ISTIO_OPTIONS, door: 'push' }),
      /# INSIDE THE MESH: bearerd itself asks idp\.auth\.svc\.cluster\.local, .*\n# {3}a PeerAuthentication in auth /,
    );
    assert.doesNotMatch(generateIstio(config(ORDERS), ISTIO_OPTIONS), /INSIDE THE MESH/);
    const others = `${ORDERS}tracing: { otlp_endpoint: "http://collector.observe.svc:4318" }
policy_bundle: { url: "https://policies.fleet.svc:8443/x.jws", name: shop, keys: keys.pem }
`;
    const text = generateIstio(config(others), ISTIO_OPTIONS);
    assert.match(text, /asks policies\.fleet\.svc, [\s\S]*asks collector\.observe\.svc, /);
  });

  test('says so where every gateway, or the whole mesh, would be changed', () => {
    const text = (options: Partial<GenerateIstioOptions>) =>
      generateIstio(config(ORDERS), { ...ISTIO_OPTIONS, namespace: 'istio-system', ...options });
    assert.match(text({ context: 'egress' }), /# THE WHOLE MESH: .* every gateway of every namespace\./);
    for (const options of [{ selector: { istio: 'egressgateway' } }, { namespace: 'shop' }])
      assert.doesNotMatch(text(options), /THE WHOLE MESH|EVERY GATEWAY/);
    assert.match(text({ namespace: 'edge', context: 'egress' }), /# EVERY GATEWAY of the namespace/);
  });

  test('prints retries for the VirtualService that a team has, and then patches none', () => {
    const text = generateIstio(config(ORDERS), { ...ISTIO_OPTIONS, retries: 'print' });
    assert.match(text, /# {5}attempts: 5\n# {5}retryOn: "connect-failure,.*,401"\n# {5}backoff: 0.25s/);
    assert.doesNotMatch(text, /HTTP_ROUTE/);
  });

  const RESILIENT =
    'resilience: { retries: 2, outlier_detection: {}, connections: { max: 9, idle_timeout: 60s }, header_case: title }';

  test('writes resilience into what it is that Istio merges, and prints what it would not', () => {
    const policy = ORDERS.replace(' }\n', `, ${RESILIENT} }\n`);
    for (const door of ['check', 'push'] as const) {
      const all = documents(policy, { door });
      const [cluster] = patchesOf(all, 'bearerd-upstreams');
      const value = JSON.stringify(cluster!.patch.value);
      assert.match(value, /"outlier_detection":\{"consecutive_5xx":5/);
      assert.match(value, /"idle_timeout":"60s"/);
      assert.match(value, /"proper_case_words"/);
      assert.match(JSON.stringify(patchesOf(all, 'bearerd-retries')), /"rate_limited_retry_back_off"/);
      const hints = JSON.stringify(patchesOf(all, 'bearerd-resilience'));
      assert.match(hints, /"x-envoy-retry-on","value":"reset,retriable-status-codes"/);
      assert.doesNotMatch(hints, /POST/);
    }
    assert.match(
      generateIstio(config(policy), ISTIO_OPTIONS),
      /DestinationRule for orders\.shop\.svc\.cluster\.local:\n# {3}connectionPool:\n# {5}tcp:\n# {7}maxConnections: 9/,
    );
  });

  const refused: [string, string, Partial<GenerateIstioOptions>, RegExp][] = [
    [
      'wildcard hosts',
      '  - { name: x, match: { hosts: ["*.example.com"] }, inject: { source: a } }\n',
      {},
      /ORIGINAL_DST/,
    ],
    [
      'two sources in one cluster',
      `${ORDERS}  - { name: other, match: { services: [orders.shop] }, inject: { source: b, header: x-key } }\n`,
      { door: 'push' },
      /orders, other inject several sources into one cluster/,
    ],
    [
      'two policies of one cluster in the attempt door',
      `${ORDERS}  - { name: other, match: { services: [orders.shop] }, inject: { source: a } }\n`,
      { door: 'attempt' },
      /one cluster belongs to one policy/,
    ],
    [
      'short names',
      '  - { name: x, match: { hosts: [orders] }, inject: { source: a } }\n',
      {},
      /services: \[orders\.NAMESPACE\]/,
    ],
    [
      'policies of one host that differ in resilience',
      `${ORDERS}  - { name: other, match: { services: [orders.shop] }, inject: { source: a }, resilience: { retries: 1 } }\n`,
      { door: 'push' },
      /orders, other differ in resilience/,
    ],
    [
      'a port outside the mesh that no request names',
      '  - { name: x, match: { hosts: ["api.example.com:443"] }, inject: { source: a } }\n',
      {},
      /host api\.example\.com: apps call http:.* leave :443 out/,
    ],
    ['unmatched: deny', `${ORDERS}unmatched: deny\n`, {}, /every call of the namespace/],
  ];
  for (const [what, outbound, options, reason] of refused) {
    test(`refuses ${what} by name`, () => assert.match(problems(outbound, options), reason));
  }
});

const withInbound = (listen: string, policy: string) =>
  parseConfig(
    `version: 1
listen: { check_inbound: "${listen}" }
inbound:
  issuers:
    idp: { issuer: "https://idp.example.com", jwks_file: jwks.json, audience: orders }
  policies:
    - ${policy}
`,
    'bearerd.yaml',
  );
const SOCKET = 'unix:///run/bearerd/inbound.sock';
const FORWARDING = '{ name: api, match: {}, forward: { x-user: sub } }';

describe('generate istio, inbound', () => {
  const made = (policy: string, listen = SOCKET, options: Partial<GenerateIstioOptions> = {}) =>
    generateIstio(withInbound(listen, policy), { ...ISTIO_OPTIONS, ...options });
  const parsed = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Manifest);

  test('asks before the app, after every forged header of any spelling is gone', () => {
    const [filter] = parsed(made(FORWARDING));
    const { configPatches } = filter!.spec;
    assert.ok(
      configPatches.every(({ match }) => JSON.stringify(match).includes('"context":"SIDECAR_INBOUND"')),
    );
    const names = configPatches
      .filter(({ applyTo }) => applyTo === 'HTTP_FILTER')
      .map(({ patch: { operation, value } }) => `${operation} ${value['name']}`);
    assert.deepEqual(names, [
      'INSERT_BEFORE bearerd.inbound.header_mutation',
      'INSERT_BEFORE bearerd.inbound.ext_authz',
    ]);
    const text = JSON.stringify(configPatches);
    assert.match(text, /"remove":"x-user"/);
    assert.match(text, /"headers_with_underscores_action":"DROP_HEADER"/);
    assert.match(text, /"failure_mode_allow":false/);
    assert.match(text, /"use_remote_address":true/);
  });

  test('by an AuthorizationPolicy prints the entry of extensionProviders, and removes forged headers first', () => {
    const text = made(FORWARDING, '127.0.0.1:9443', { inbound: 'authorization-policy' });
    assert.match(text, /# {3}extensionProviders:\n# {5}- name: bearerd-inbound-shop\n/);
    assert.match(text, /# {9}failOpen: false\n# {9}statusOnError: "503"\n/);
    const [filter, entry, policy] = parsed(text);
    assert.equal(policy!.spec['action'], 'CUSTOM');
    assert.deepEqual(entry!.spec['endpoints'], [{ address: '127.0.0.1' }]);
    const operations = filter!.spec.configPatches.map(({ patch }) => patch.operation);
    assert.deepEqual(operations, ['INSERT_FIRST', 'MERGE']);
  });

  test('by an AuthorizationPolicy has a provider for each namespace, and a policy for each workload', () => {
    const inboundOf = (options: Partial<GenerateIstioOptions>) => {
      const text = made(FORWARDING, '127.0.0.1:9443', { inbound: 'authorization-policy', ...options });
      const [, entry, policy] = parsed(text);
      const provider = /extensionProviders:\n# {5}- name: (.*)\n.*\n# {9}service: (.*)\n/.exec(text)!;
      assert.deepEqual(policy!.spec['provider'], { name: provider[1] });
      assert.deepEqual(entry!.spec['hosts'], [provider[2]]);
      return { provider: provider[2], policy: policy!.metadata.name };
    };
    const shop = inboundOf({});
    const other = inboundOf({ namespace: 'other', selector: { app: 'cart' } });
    assert.notEqual(other.provider, shop.provider);
    assert.deepEqual([shop.policy, other.policy], ['bearerd-inbound', 'bearerd-inbound-app-cart']);
  });

  test('says what Envoy does not see of what comes in', () => {
    assert.match(made(FORWARDING), /# Inbound: every HTTP request is asked for\. NOT SEEN: a port .* TCP/);
  });

  test('at an egress gateway nothing comes in, and at an ingress gateway the gateway is patched', () => {
    assert.throws(() => made(FORWARDING, SOCKET, { context: 'egress' }), /nothing is to be generated/);
    assert.doesNotMatch(made(FORWARDING, SOCKET, { context: 'ingress' }), /SIDECAR_/);
  });

  for (const [policy, listen, reason] of [
    [FORWARDING, SOCKET, /is a Unix socket/],
    ['{ name: api, match: {}, require_tls: true }', '127.0.0.1:9443', /api has require_tls/],
    ['{ name: api, match: {}, bound: mtls }', '127.0.0.1:9443', /api has bound: mtls/],
  ] as const) {
    test(`by an AuthorizationPolicy refuses what Istio does not tell: ${reason.source}`, () =>
      assert.throws(() => made(policy, listen, { inbound: 'authorization-policy' }), reason));
  }
});
