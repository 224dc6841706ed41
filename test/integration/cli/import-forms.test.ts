// bearerd import: forms in which teams have Envoy's configuration, and what would inject more than Envoy did.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { parseConfig } from '../../../src/config/parse.ts';
import { bearerd } from '../../support/command-line.ts';
import { validateEnvoy } from '../../support/envoy.ts';

const FIXTURE = readFileSync('test/fixtures/envoy/credential-injector.yaml', 'utf8');
const TYPE = 'type.googleapis.com/envoy.extensions';

async function run(text: string) {
  const file = join(mkdtempSync(join(tmpdir(), 'bearerd-import-')), 'envoy.yaml');
  writeFileSync(file, text);
  return bearerd('import', file);
}

async function imported(configuration: unknown) {
  const { code, out, err } = await run(
    typeof configuration === 'string' ? configuration : JSON.stringify(configuration),
  );
  assert.equal(code, 0, err);
  const { sources, outbound } = parseConfig(out, 'bearerd.yaml');
  return { text: out, sources, outbound };
}

describe('a ConfigMap or Secret', () => {
  const object = (kind: string, data: object, more: object = {}) => ({
    apiVersion: 'v1',
    kind,
    metadata: { name: 'envoy', namespace: 'shop' },
    ...more,
    data,
  });
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const { listeners, clusters } = parse(FIXTURE).static_resources;
  const separate = {
    'lds.yaml': stringify({ resources: listeners }),
    'cds.json': JSON.stringify({ resources: clusters }),
    'run.sh': '#!/bin/sh\n{{ exit 0\n',
  };

  for (const [what, text] of Object.entries({
    'with a bootstrap': stringify(object('ConfigMap', { 'envoy.yaml': FIXTURE })),
    'with several files of Envoy, and others': stringify(object('ConfigMap', separate)),
    'among other objects': [
      { kind: 'Deployment', spec: {} },
      object('ConfigMap', { bootstrap: `---\n${FIXTURE}` }),
    ]
      .map((one) => stringify(one))
      .join('---\n'),
    'as kubectl prints it': JSON.stringify({ kind: 'List', items: [object('ConfigMap', separate)] }),
    'in base64': stringify(object('Secret', { 'envoy.yaml': base64(FIXTURE) })),
    'of bytes': stringify(object('ConfigMap', {}, { binaryData: { 'envoy.yaml': base64(FIXTURE) } })),
    'that begins with a byte order mark and has lines of Windows':
      `\ufeff${stringify(object('ConfigMap', { 'envoy.yaml': FIXTURE }))}`.replaceAll('\n', '\r\n'),
  })) {
    test(`${what} gives the same policies as its files`, async () => {
      assert.deepEqual((await imported(text)).outbound, (await imported(FIXTURE)).outbound);
    });
  }

  test('that is a template still, or broken, is told with its key and place', async () => {
    const template = FIXTURE.replace('cluster: app }', 'cluster: {{ .Values.cluster }} }');
    const asked = await run(stringify(object('ConfigMap', { 'envoy.yaml': template })));
    assert.match(
      asked.err,
      /envoy\.yaml of ConfigMap envoy.*1:\d+.*\n?.*\{\{ \}\} of a template: fill it in first/,
    );
    const broken = await run(stringify(object('ConfigMap', { 'envoy.yaml': `${FIXTURE}\n  x: [` })));
    assert.match(broken.err, /envoy\.yaml of ConfigMap envoy/);
    assert.equal(asked.code + broken.code > 1, true);
  });
});

const injector = (credential: object, more: object = {}) => ({
  '@type': `${TYPE}.filters.http.credential_injector.v3.CredentialInjector`,
  overwrite: true,
  credential: { name: 'x', typed_config: credential },
  ...more,
});
const generic = (name: string, header?: string) => ({
  '@type': `${TYPE}.http.injected_credentials.generic.v3.Generic`,
  credential: { name, sds_config: {} },
  ...(header === undefined ? {} : { header }),
});
const filter = (typed_config: object, name = 'injector') => ({ name, typed_config });
const cluster = (name: string, ...http_filters: object[]) => ({
  name,
  connect_timeout: '1s',
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': { http_filters },
  },
});
const listener = (virtual_hosts: object[], http_filters: object[] = [], more: object = {}) => ({
  name: 'outbound',
  address: {},
  filter_chains: [
    {
      filters: [
        filter({
          '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
          route_config: { name: 'routes', virtual_hosts, ...more },
          http_filters,
        }),
      ],
    },
  ],
});
const to = (name: string, more: object = {}) => ({
  match: { prefix: '/' },
  route: { cluster: name },
  ...more,
});
const host = (domains: string[], ...routes: object[]) => ({ name: domains[0], domains, routes });

describe('JSON of protobuf', () => {
  const oauth2 = (auth_type: unknown) => ({
    '@type': `${TYPE}.http.injected_credentials.oauth2.v3.OAuth2`,
    token_endpoint: { uri: 'https://idp.example.com/token', timeout: '1.5s' },
    client_credentials: { client_id: 'checkout', client_secret: { name: 's', sds_config: {} }, auth_type },
  });

  test('has enums by name and by number, and one that is unknown is named', async () => {
    const method = async (auth_type: unknown) => {
      const { text } = await imported({ clusters: [cluster('c', filter(injector(oauth2(auth_type))))] });
      return [/client_auth: (\w+)/.exec(text)![1], /Not carried over: auth_type .*/.exec(text)?.[0]];
    };
    for (const one of [1, '1', 'URL_ENCODED_BODY']) {
      assert.deepEqual(await method(one), ['client_secret_post', undefined]);
    }
    for (const one of [0, null, 'BASIC_AUTH'])
      assert.deepEqual(await method(one), ['client_secret_basic', undefined]);
    assert.deepEqual(await method('TLS'), [
      'client_secret_basic',
      'Not carried over: auth_type "TLS", which is unknown: client_secret_basic.',
    ]);
  });

  test('has messages as TypedStruct and inside an Any, with names in either form', async () => {
    const struct = (of: string, { '@type': type_url, ...value }: Record<string, unknown>) => ({
      '@type': of,
      type_url,
      value,
    });
    const camel = (text: string) =>
      text.replace(
        /"([a-z]+(?:_[a-z]+)+)":/g,
        (_, name: string) => `"${name.replace(/_./g, (one) => one[1]!.toUpperCase())}":`,
      );
    const inner = struct('type.googleapis.com/xds.type.v3.TypedStruct', generic('key', 'x-key'));
    const outer = struct('type.googleapis.com/udpa.type.v1.TypedStruct', injector(inner));
    const inAny = injector({
      '@type': 'type.googleapis.com/google.protobuf.Any',
      value: generic('key', 'x-key'),
    });
    for (const one of [outer, inAny]) {
      const { outbound } = await imported(camel(JSON.stringify({ clusters: [cluster('c', filter(one))] })));
      assert.deepEqual(
        outbound[0]!.inject.headers.map(({ name }) => name),
        ['x-key'],
      );
      assert.equal(outbound[0]!.inject.source, 'key');
    }
  });

  test('is what a real Envoy takes, too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bearerd-import-'));
    for (const name of ['secret.yaml', 'key.yaml']) writeFileSync(join(folder, name), 'resources: []\n');
    const { static_resources, node } = parse(FIXTURE.replaceAll('/etc/envoy', folder));
    const [filters] = static_resources.listeners[0].filter_chains;
    const [asked] = filters.filters[0].typed_config.http_filters;
    const { '@type': type_url, overwrite, credential } = asked.typed_config;
    credential.typed_config.client_credentials.auth_type = 1;
    asked.typed_config = {
      '@type': 'type.googleapis.com/xds.type.v3.TypedStruct',
      typeUrl: type_url,
      value: { overwrite, credential },
    };
    const text = `!ignore of_the_team: { a: b }\n${stringify({ node, staticResources: static_resources })}`;
    const { ok, output } = await validateEnvoy(text);
    assert.ok(ok, output);
    const { sources, outbound } = await imported(text);
    assert.equal(outbound.length, 2);
    assert.deepEqual(sources, (await imported(FIXTURE.replaceAll('/etc/envoy', folder))).sources);
  });

  test('and what Envoy passes over (!ignore) is no fault', async () => {
    const { outbound } = await imported(
      `!ignore of_the_team:\n  - &one app\n${FIXTURE.replace('cluster: app', 'cluster: *one')}`,
    );
    assert.equal(outbound.length, 2);
  });
});

test('routes of RDS in a dump, and the service of an EnvoyFilter, say for which hosts', async () => {
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    rds: { route_config_name: '80' },
    http_filters: [filter(injector(generic('key')))],
  };
  const dump = [
    { listener: { name: 'l', address: {}, filter_chains: [{ filters: [filter(manager)] }] } },
    { route_config: { name: '80', virtual_hosts: [host(['orders.example.com'], to('c'))] } },
    { route_config: { name: '81', virtual_hosts: [host(['web.example.com'], to('c'))] } },
  ];
  const { outbound } = await imported(dump);
  assert.deepEqual(
    outbound[0]!.match.hosts.map(({ name }) => name),
    ['orders.example.com'],
  );

  const { typed_extension_protocol_options } = cluster('', filter(injector(generic('key'))));
  const patch = { operation: 'MERGE', value: { typed_extension_protocol_options } };
  const match = { cluster: { service: 'orders.shop.svc.cluster.local', portNumber: 8443 } };
  const filters = { kind: 'EnvoyFilter', spec: { configPatches: [{ applyTo: 'CLUSTER', match, patch }] } };
  assert.deepEqual((await imported(filters)).outbound[0]!.match.hosts, [
    { name: 'orders.shop.svc.cluster.local', wildcard: false, port: 8443 },
  ]);
});

describe('of several injectors', () => {
  const order = async (more: object, own: object) => {
    const { outbound } = await imported({
      listeners: [listener([host(['a.example.com'], to('a'))], [filter(injector(generic('of-listener')))])],
      clusters: [cluster('a', filter(injector(generic('of-cluster'), more), 'i'))],
      ...own,
    });
    return outbound.map(({ inject }) => inject.source);
  };
  test('the one that has the last word in Envoy comes first', async () => {
    assert.deepEqual(await order({}, {}), ['of-cluster', 'of-listener']);
    assert.deepEqual(await order({ overwrite: false }, {}), ['of-listener', 'of-cluster']);
    const two = [filter(injector(generic('first'))), filter(injector(generic('second')), 'other')];
    const { outbound } = await imported({ listeners: [listener([host(['a.example.com'], to('a'))], two)] });
    assert.deepEqual(
      outbound.map(({ inject }) => inject.source),
      ['second', 'first'],
    );
  });
});

describe('no policy injects where Envoy did not', () => {
  const ORDERS = cluster('orders', filter(injector(generic('key'))));
  const matched = {
    '@type': 'type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher',
    xds_matcher: {},
    extension_config: filter(injector(generic('key'))),
  };
  const off = { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', disabled: true };
  const mine = host(['orders.example.com'], to('orders'));
  const cases: Readonly<Record<string, [configuration: object, hosts: string[], mode: string]>> = {
    'all of a host leads there': [
      {
        listeners: [
          listener([
            host(['orders.example.com'], to('orders', { match: { prefix: '/', case_sensitive: true } })),
          ]),
        ],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'enforce',
    ],
    'another route of the host leads elsewhere': [
      { listeners: [listener([host(['orders.example.com'], to('web'), to('orders'))])], clusters: [ORDERS] },
      ['orders.example.com'],
      'shadow',
    ],
    'another route goes by a header': [
      {
        listeners: [
          listener([
            host(
              ['orders.example.com'],
              { match: { prefix: '/' }, route: { cluster_header: 'x-to' } },
              to('orders'),
            ),
          ]),
        ],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'a share of them leads elsewhere': [
      {
        listeners: [
          listener([
            host(['orders.example.com'], {
              match: { prefix: '/' },
              route: { weighted_clusters: { clusters: [{ name: 'orders' }, { name: 'web' }] } },
            }),
          ]),
        ],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'a name below its wildcard leads elsewhere': [
      {
        listeners: [
          listener([host(['*.example.com', 'b.test'], to('orders')), host(['admin.example.com'], to('web'))]),
        ],
        clusters: [ORDERS],
      },
      ['b.test'],
      'enforce',
    ],
    'another listener leads the same host elsewhere': [
      {
        listeners: [listener([mine]), listener([host(['Orders.example.com.'], to('web'))])],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'another cluster has the same credential': [
      {
        listeners: [listener([mine]), listener([host(['orders.example.com'], to('more'))])],
        clusters: [ORDERS, cluster('more', filter(injector(generic('key'))))],
      },
      ['orders.example.com'],
      'enforce',
    ],
    'its routes take some paths only': [
      {
        listeners: [
          listener([
            host(['orders.example.com'], { match: { prefix: '/v1' }, route: { cluster: 'orders' } }),
          ]),
        ],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'it is the router’s, and a cluster has filters of its own': [
      {
        listeners: [
          listener(
            [host(['orders.example.com'], to('web'))],
            [
              filter({
                '@type': `${TYPE}.filters.http.router.v3.Router`,
                upstream_http_filters: [filter(injector(generic('key')))],
              }),
            ],
          ),
        ],
        clusters: [cluster('web', filter({}))],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'a request may name another cluster with one': [
      {
        listeners: [
          listener(
            [host(['orders.example.com'], { match: { prefix: '/' }, route: { cluster_header: 'x-to' } })],
            [filter(injector(generic('key')))],
          ),
        ],
        clusters: [cluster('other', filter({ ...matched }))],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'a matcher is around it': [
      { listeners: [listener([mine])], clusters: [cluster('orders', filter(matched))] },
      ['orders.example.com'],
      'shadow',
    ],
    'a route switches it off by a name in camel case': [
      {
        listeners: [
          listener(
            [host(['orders.example.com'], to('web', { typedPerFilterConfig: { ourInjector: off } }))],
            [filter(injector(generic('key')), 'ourInjector')],
          ),
        ],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'a route switches off what a matcher is around': [
      {
        listeners: [
          listener(
            [host(['orders.example.com'], to('web', { typed_per_filter_config: { outer: off } }))],
            [filter(matched, 'outer')],
          ),
        ],
      },
      ['orders.example.com'],
      'shadow',
    ],
    'no request reaches a domain, since ports are passed over': [
      {
        listeners: [
          listener([host(['a.example.com:8443', 'orders.example.com'], to('orders'))], [], {
            ignore_port_in_host_matching: true,
          }),
        ],
        clusters: [ORDERS],
      },
      ['orders.example.com'],
      'enforce',
    ],
    'a domain is for hosts with a port alone': [
      { listeners: [listener([host(['a.example.com:*'], to('orders'))])], clusters: [ORDERS] },
      ['to-be-named.example.com'],
      'enforce',
    ],
  };
  for (const [where, [configuration, hosts, mode]] of Object.entries(cases)) {
    test(`where ${where}`, async () => {
      const { text, outbound } = await imported(configuration);
      const policy = outbound.find(({ name }) => ['orders', 'outbound'].includes(name));
      assert.deepEqual(
        policy!.match.hosts.map(({ name }) => name),
        hosts,
      );
      assert.equal(policy!.rollout.mode, mode, text);
    });
  }

  test('nor where one that acts on some requests has the last word', async () => {
    const { text, outbound } = await imported({
      listeners: [listener([mine], [filter(injector(generic('of-all')))])],
      clusters: [
        cluster('orders', filter({ ...matched, extension_config: filter(injector(generic('of-some'))) })),
      ],
    });
    assert.deepEqual(
      outbound.map(({ rollout }) => rollout.mode),
      ['shadow', 'shadow'],
    );
    assert.match(text, /cluster orders has the last word about authorization on some of its requests/);
  });
});
