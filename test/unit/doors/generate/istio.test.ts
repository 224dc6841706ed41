import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { parseConfig } from '../../../../src/config/parse.ts';
import { readClusterDump } from '../../../../src/doors/generate/istio/cluster-dump.ts';
import { type GenerateIstioOptions, generateIstio } from '../../../../src/doors/generate/istio/istio.ts';
import { GenerateError } from '../../../../src/doors/generate/problems.ts';

const OPTIONS: GenerateIstioOptions = {
  door: 'best',
  namespace: 'shop',
  context: 'SIDECAR_OUTBOUND',
  selector: undefined,
  retries: 'patch',
  clusterOptions: new Map(),
};

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
  const text = generateIstio(config(outbound), { ...OPTIONS, ...options });
  return parseAllDocuments(text).map((document) => document.toJS() as Manifest);
}
const patchesOf = (all: Manifest[], name: string): Patch[] =>
  all.find(({ metadata }) => metadata.name === name)?.spec.configPatches ?? [];

function problems(outbound: string, options: Partial<GenerateIstioOptions> = {}): string {
  try {
    generateIstio(config(outbound), { ...OPTIONS, ...options });
  } catch (error) {
    assert.ok(error instanceof GenerateError);
    return error.problems.join('\n');
  }
  return '';
}

describe('generate istio', () => {
  test('writes the same text for the same input', () => {
    const once = generateIstio(config(ORDERS), OPTIONS);
    assert.equal(generateIstio(config(ORDERS), OPTIONS), once);
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

  test('reaches hosts outside the mesh by TLS, and says loudly that apps must not speak it themselves', () => {
    const outside = '  - { name: api, match: { hosts: [api.example.com] }, inject: { source: a } }\n';
    const all = documents(outside);
    const entry = all.find(({ kind }) => kind === 'ServiceEntry')!;
    assert.deepEqual(entry.spec['ports'], [{ number: 80, name: 'http', protocol: 'HTTP', targetPort: 443 }]);
    assert.ok(all.some(({ kind }) => kind === 'DestinationRule'));
    assert.match(
      generateIstio(config(outside), OPTIONS),
      /# OUTSIDE THE MESH: api\.example\.com\. Apps must call http:/,
    );
  });

  test('prints retries for the VirtualService that a team has, and then patches none', () => {
    const text = generateIstio(config(ORDERS), { ...OPTIONS, retries: 'print' });
    assert.match(text, /# {5}attempts: 5\n# {5}retryOn: "connect-failure,.*,401"\n# {5}backoff: 0.25s/);
    assert.doesNotMatch(text, /HTTP_ROUTE/);
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
    ['unmatched: deny', `${ORDERS}unmatched: deny\n`, {}, /every call of the namespace/],
  ];
  for (const [what, outbound, options, reason] of refused) {
    test(`refuses ${what} by name`, () => assert.match(problems(outbound, options), reason));
  }
});
