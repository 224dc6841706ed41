// What `generate kubernetes` and `generate istio` write, under the eyes of kubeconform, istioctl and Istio's own injector.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { KEPT_STATISTICS } from '../../src/doors/push/envoy-statistics.ts';
import type { Container, Pod } from '../../src/kubernetes/pod.ts';
import { otherCrds } from '../../tools/parts/crds.ts';
import { builtHelm } from '../../tools/parts/helm.ts';
import { istioParts } from '../../tools/parts/istio.ts';
import { kubeconformBinary } from '../../tools/parts/kubeconform.ts';
import { kubernetesParts, openApi } from '../../tools/parts/kubernetes.ts';
import { renderChart, TEAM_VALUES } from '../support/chart.ts';

const parts = { kubernetes: await kubernetesParts(), istio: await istioParts(), helm: await builtHelm() };
const skip =
  parts.kubernetes && parts.istio && parts.helm ? false : 'npm run parts:kubernetes builds the validators';
const run = promisify(execFile);
const CONFIG = ['--config', 'k8s/example/bearerd.yaml', '--namespace', 'shop'];
const SIDECAR = ['--sidecar', 'k8s/example/sidecar.yaml'];

/** What kubeconform finds: of single objects only those that are not right. */
interface Conformity {
  readonly summary: Readonly<Record<string, number>>;
  readonly resources?: readonly object[];
}

/** Everything that changes what is written for Istio, in one file each. */
function everything(unbound: string, inboundAt: string, more = ''): string {
  return `version: 1
listen: { check: "unix:///run/check.sock", xds: "unix:///run/xds.sock", health: "0.0.0.0:9193", check_inbound: "${inboundAt}" }
unbound_authorization: ${unbound}
ambiguous_path: deny
access_log: full
tracing: { otlp_endpoint: "http://collector.observe:4318" }
sources:
  a: { client_credentials: { token_endpoint: "https://idp.example.com/token", client_id: a, client_secret: { file: s } } }
  b: { static: { value: { file: key } } }
outbound:
  - name: orders
    match: { services: ["orders.shop"], methods: [GET, POST], paths: [/v1/, { exact: /x }] }
    inject: { source: a }
    resilience: { retries: 2, outlier_detection: {}, connections: { max: 9, max_pending: 9, max_requests: 9, requests_per_connection: 9, idle_timeout: 60s }, header_case: preserve }
  - { name: part, match: { services: [part.shop] }, inject: { source: a }, mode: { percent: 25 }, heal_on: invalid_token }
  - { name: chat, match: { services: [chat.shop] }, inject: { source: a }, rate_limit: { requests: 5, key: { body: [model] } } }
  - { name: keys, match: { hosts: [api.example.com, "api.example.com:8443"] }, inject: { source: b, headers: [{ name: x-key, prefix: "" }, { name: authorization }] } }
${more}inbound:
  issuers: { idp: { issuer: "https://idp.example.com", audience: orders } }
  policies: [{ name: api, match: {}, forward: { x-user: sub }, rate_limit: { requests: 5, key: { body: [model] } } }]
`;
}
const DENIALS = `  - { name: closed, match: { services: ["orders.shop"], paths: [/admin] }, deny: { status: 404 } }
  - { name: shut, match: { hosts: [shut.example.com] }, deny: true }
`;

const folder = mkdtempSync(join(tmpdir(), 'bearerd-validators-'));
const configs: Readonly<Record<string, string>> = {
  remove: everything('remove', 'unix:///run/in.sock', DENIALS),
  deny: everything('deny', 'unix:///run/in.sock'),
  provider: everything('pass', '127.0.0.1:9192'),
};
for (const [name, text] of Object.entries(configs)) writeFileSync(join(folder, `${name}-config.yaml`), text);
const istio = (config: string, ...args: string[]) => [
  ...['istio', '--config', join(folder, `${config}-config.yaml`), '--namespace', 'shop', ...args],
];

/** Command lines of everything that is written for kubectl. */
const WRITTEN: Readonly<Record<string, readonly string[]>> = {
  webhook: ['kubernetes', 'webhook', ...SIDECAR, '--monitoring'],
  workload: [
    ...['kubernetes', 'workload', ...SIDECAR, ...CONFIG],
    ...['--monitoring', '--network-policy', '--strict-mtls', 'app=checkout,app.kubernetes.io/name=Cart'],
  ],
  ...Object.fromEntries(
    ['check', 'push', 'attempt'].map((door) => [`istio ${door}`, ['istio', ...CONFIG, '--door', door]]),
  ),
  'istio egress': ['istio', ...CONFIG, '--context', 'egress'],
  'istio check, denials': istio('remove', '--door', 'check'),
  'istio attempt, denials': istio('remove', '--door', 'attempt', '--retries', 'print'),
  'istio push, unbound denied': istio('deny', '--door', 'push', '--selector', 'app=checkout'),
  'istio egress, denials': istio('remove', '--context', 'egress'),
  'istio ingress': istio('deny', '--context', 'ingress'),
  'istio ingress, authorization policy': istio(
    ...['provider', '--context', 'ingress', '--inbound', 'authorization-policy'],
  ),
  'istio sidecar, authorization policy': istio('provider', '--inbound', 'authorization-policy'),
};

describe('the validators', { skip }, () => {
  const files: Record<string, string> = {};
  before(async () => {
    for (const [name, args] of Object.entries(WRITTEN)) {
      files[name] = join(folder, `${name.replaceAll(/[ ,]+/g, '-')}.yaml`);
      writeFileSync(files[name], (await generate(...args)).replaceAll('mode: shadow', 'mode: enforce'));
    }
    const monitoring = { podMonitor: true, prometheusRule: true };
    files['chart'] = join(folder, 'chart.yaml');
    writeFileSync(files['chart'], await renderChart(parts.helm!, { ...TEAM_VALUES, ...monitoring }));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function conform(...given: string[]): Promise<Conformity> {
    const location = `${folder}/schemas/{{.Group}}/{{.ResourceAPIVersion}}/{{.ResourceKind}}.json`;
    const args = ['-strict', '-summary', '-output', 'json', '-schema-location', location, ...given];
    // It ends with 1 where something is wrong, and says what on standard output all the same.
    const { stdout } = await run(await kubeconformBinary(), args, { timeout: 60_000 }).catch(
      (error: { stdout: string }) => error,
    );
    return JSON.parse(stdout) as Conformity;
  }

  test('kubeconform: every object is of its schema, with no field that is not in it', async (t) => {
    await writeSchemas(join(folder, 'schemas'), [...(await otherCrds()), parts.istio!.crds]);
    const { summary, resources } = await conform(...Object.values(files));
    t.diagnostic(JSON.stringify(summary));
    assert.ok(summary['valid']! > 25);
    assert.deepEqual(resources ?? [], []);
    assert.equal(summary['skipped'], 0);
    const broken = join(folder, 'broken.yaml');
    writeFileSync(broken, readFileSync(files['webhook']!, 'utf8').replace('replicas:', 'replica:'));
    assert.match(JSON.stringify(await conform(broken)), /additional properties 'replica' not allowed/);
  });

  for (const name of Object.keys(WRITTEN)) {
    test(`istioctl validate and analyze have nothing against: ${name}`, async () => {
      const text = readFileSync(files[name]!, 'utf8');
      if (/istio\.io/.test(text)) assertFine(await istioctl('validate', '-f', files[name]!));
      // Beside it stands what it refers to.
      const cluster = join(folder, 'cluster.yaml');
      const namespace = (metadata: object) => ({ apiVersion: 'v1', kind: 'Namespace', metadata });
      writeFileSync(
        cluster,
        stringify(namespace({ name: 'shop', labels: { 'istio-injection': 'enabled' } })),
      );
      assertFine(await istioctl('analyze', '--use-kube=false', cluster, files[name]!));
    });
  }

  test('istioctl says of a misspelt field of Envoy what is looked for', async () => {
    const broken = join(folder, 'misspelt.yaml');
    const text = readFileSync(files['istio check']!, 'utf8');
    assert.match(text, /transport_api_version/);
    writeFileSync(broken, text.replace('transport_api_version', 'transport_api_versoin'));
    const said = await istioctl('validate', '-f', broken);
    assert.throws(() => assertFine(said), /can't unmarshal Any/);
  });

  for (const native of [true, false]) {
    test(`Istio's injector puts bearerd beside ${native ? 'a native' : 'an ordinary'} istio-proxy by the template`, async (t) => {
      const injected = await inject(native);
      const { initContainers = [], containers = [], volumes = [] } = injected.spec!;
      const names = initContainers.map(({ name }) => name);
      t.diagnostic(names.join(', '));
      // A native istio-proxy is always first; the app's own init containers have both.
      const bearerd = names.indexOf('bearerd');
      assert.ok(bearerd !== -1 && initContainers[bearerd]!['restartPolicy'] === 'Always', `${names}`);
      const proxies = [...initContainers, ...containers].filter(({ name }) => name === 'istio-proxy');
      assert.equal(proxies.length, 1);
      assert.ok((native ? initContainers : containers).includes(proxies[0]!));
      assert.ok(proxies[0]!['image'], 'it is the one of Istio');
      // What `generate istio` prints for the guard reaches the agent that writes Envoy's bootstrap.
      const env = proxies[0]!['env'] as { name: string; value?: string }[];
      const { proxyStatsMatcher } = JSON.parse(env.find(({ name }) => name === 'PROXY_CONFIG')!.value!) as {
        proxyStatsMatcher?: { inclusionSuffixes: string[] };
      };
      assert.deepEqual(proxyStatsMatcher?.inclusionSuffixes, KEPT_STATISTICS);
      const mounts = (container: Container) => (container.volumeMounts ?? []).map(({ name }) => name);
      assert.ok(mounts(proxies[0]!).includes('bearerd-sockets'));
      for (const app of [...initContainers, ...containers].filter(({ name }) =>
        /^(app|migrate)$/.test(name),
      )) {
        assert.deepEqual(
          mounts(app).filter((name) => name.startsWith('bearerd')),
          [],
        );
      }
      assert.ok(volumes.some(({ name }) => name === 'bearerd-sockets'));
      // Nobody turned it to an Envoy that is not there yet.
      assert.ok((initContainers[bearerd]!['startupProbe'] as { exec?: object }).exec);
    });
  }

  async function inject(native: boolean): Promise<Pod> {
    const values = join(folder, 'values.yaml');
    writeFileSync(values, await generate('kubernetes', 'injection-template', ...SIDECAR));
    const chart = join(dirname(parts.istio!.crds), '../../istio-control/istio-discovery');
    const { stdout } = await run(
      parts.helm!,
      ['template', 'istiod', chart, '--namespace', 'istio-system', '--values', values],
      { maxBuffer: 8 << 20, timeout: 60_000 },
    );
    const maps = parseAllDocuments(stdout).map(
      (document) =>
        document.toJS() as { kind: string; metadata: { name: string }; data: Record<string, string> } | null,
    );
    const file = (map: string, key: string): string => {
      const path = join(folder, key);
      writeFileSync(
        path,
        maps.find((one) => one?.kind === 'ConfigMap' && one.metadata.name === map)!.data[key]!,
      );
      return path;
    };
    const deployment = join(folder, 'deployment.yaml');
    writeFileSync(deployment, stringify(theApp(native, await guardAnnotation())));
    const out = await istioctl(
      ...['kube-inject', '--revision', 'default', '--filename', deployment],
      ...['--injectConfigFile', file('istio-sidecar-injector', 'config')],
      ...['--valuesFile', file('istio-sidecar-injector', 'values')],
      ...['--meshConfigFile', file('istio', 'mesh')],
    );
    return (parseAllDocuments(out)[0]!.toJS() as { spec: { template: Pod } }).spec.template;
  }

  async function guardAnnotation(): Promise<Record<string, string>> {
    const config = join(folder, 'guarded.yaml');
    writeFileSync(config, GUARDED);
    const printed = (await generate('istio', '--config', config, '--namespace', 'shop')).split('\n');
    const at = printed.findIndex((line) => line.includes('proxy.istio.io/config'));
    const lines = printed
      .slice(at, at + 3 + KEPT_STATISTICS.length)
      .map((line) => line.replace(/^# {3}/, ''));
    return parse(lines.join('\n')) as Record<string, string>;
  }

  /** Both outputs. It waits for a cluster that is not there where it is given none. */
  async function istioctl(...args: string[]): Promise<string> {
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, '');
    const running = run(parts.istio!.istioctl, args, {
      timeout: 60_000,
      maxBuffer: 8 << 20,
      env: { ...process.env, KUBECONFIG: kubeconfig },
    });
    running.child.stdin?.end();
    const { stdout, stderr } = await running;
    return args[0] === 'kube-inject' ? stdout : stdout + stderr;
  }
});

async function generate(...args: string[]): Promise<string> {
  return (await run(process.execPath, ['dist/main.js', 'generate', ...args])).stdout;
}

/** Exit code 0 is not enough: a field that Envoy does not have is only a warning there. */
function assertFine(output: string): void {
  assert.doesNotMatch(output, /can't unmarshal Any|Error \[/);
}

const GUARDED = `version: 1
listen: { check: "unix:///run/bearerd/check.sock", xds: "unix:///run/bearerd/xds.sock" }
sources: { key: { static: { value: { env: KEY } } } }
outbound: [{ name: orders, match: { services: [orders.shop] }, inject: { source: key }, guard: {} }]
envoy_admin: 127.0.0.1:15000
`;

function theApp(native: boolean, annotations: Readonly<Record<string, string>>): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'app', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'app' } },
      template: {
        metadata: {
          labels: { app: 'app' },
          annotations: {
            'inject.istio.io/templates': 'sidecar,bearerd',
            'sidecar.istio.io/nativeSidecar': String(native),
            ...annotations,
          },
        },
        spec: {
          initContainers: [{ name: 'migrate', image: 'migrate:1' }],
          containers: [{ name: 'app', image: 'app:1' }],
        },
      },
    },
  };
}

type Schema = Record<string, unknown>;
interface Crd {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { openAPIV3Schema: Schema } }[];
  };
}

/** One JSON schema a kind, as kubeconform looks for them; all objects closed, so that a misspelt field is found. */
async function writeSchemas(folder: string, crds: readonly string[]): Promise<void> {
  const write = (group: string, version: string, kind: string, schema: Schema): void => {
    // The core group has no name; kubeconform gives it that of its version.
    const file = join(folder, group || version, version, `${kind.toLowerCase()}.json`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(schema));
  };
  const { definitions } = JSON.parse(readFileSync(await openApi(), 'utf8')) as {
    definitions: Record<
      string,
      Schema & { 'x-kubernetes-group-version-kind'?: readonly Record<string, string>[] }
    >;
  };
  const closed = closeObjects(definitions) as typeof definitions;
  const wanted =
    /^(Namespace|ServiceAccount|ConfigMap|Service|Deployment|PodDisruptionBudget|NetworkPolicy|MutatingWebhookConfiguration)$/;
  for (const schema of Object.values(closed)) {
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      if (wanted.test(kind!)) write(group!, version!, kind!, { ...schema, definitions: closed });
    }
  }
  const texts = crds.map((file) => readFileSync(file, 'utf8')).join('\n---\n');
  for (const document of parseAllDocuments(texts)) {
    const crd = document.toJS() as Crd | null;
    for (const { name, schema } of crd?.spec?.versions ?? []) {
      const whole = { ...schema.openAPIV3Schema };
      const metadata = {
        metadata: { type: 'object' },
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
      };
      whole['properties'] = { ...(whole['properties'] as object), ...metadata };
      write(crd!.spec.group, name, crd!.spec.names.kind, closeObjects(whole) as Schema);
    }
  }
}

function closeObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closeObjects);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, closeObjects(inner)]);
  const open = value as Schema;
  const isClosed =
    typeof open['properties'] === 'object' &&
    open['additionalProperties'] === undefined &&
    open['x-kubernetes-preserve-unknown-fields'] !== true &&
    !('properties' in (open['properties'] as object) && open['type'] === undefined);
  // Either a number or a text (a port, a quantity).
  if (open['x-kubernetes-int-or-string'] === true || open['format'] === 'int-or-string') return {};
  return { ...Object.fromEntries(entries), ...(isClosed ? { additionalProperties: false } : {}) };
}
