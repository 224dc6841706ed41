// The Helm chart by helm itself: the objects of the generator, and nothing misspelt goes through.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse, parseAllDocuments } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import { parseSidecarFile } from '../../src/config/sidecar-file.ts';
import { injectSidecar } from '../../src/kubernetes/inject.ts';
import { otherCrds } from '../../tools/parts/crds.ts';
import { builtHelm } from '../../tools/parts/helm.ts';
import { kubernetesParts } from '../../tools/parts/kubernetes.ts';
import { CHART, renderChart, TEAM_VALUES } from '../support/chart.ts';
import { writeDocExample } from '../support/doc-example.ts';
import { type Kubernetes, startKubernetes } from '../support/kubernetes.ts';

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: { 'sidecar.yaml': unknown };
  readonly spec?: { template?: { metadata: { annotations?: Record<string, unknown> } } };
}

interface Deployment extends Manifest {
  readonly metadata: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly annotations: Record<string, string>;
  };
  readonly spec: {
    readonly replicas: number;
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly metadata: { readonly labels: object; readonly annotations: Record<string, unknown> };
      readonly spec: {
        readonly containers: { readonly resources: object }[];
        readonly [key: string]: unknown;
      };
    };
  };
}

const helm = await builtHelm();
const run = promisify(execFile);
const SIDECAR = { secret: 'keys', token_audience: 'idp', resources: { limits: { memory: '300Mi' } } };

describe('the chart', { skip: helm ? false : 'npm run parts:kubernetes builds helm' }, () => {
  test('passes helm lint with nothing to say', async () => {
    const { stdout } = await run(helm!, ['lint', '--strict', CHART]);
    assert.match(stdout, /1 chart\(s\) linted, 0 chart\(s\) failed/);
    assert.doesNotMatch(stdout, /WARNING|ERROR/);
  });

  for (const by of ['a Secret', 'cert-manager']) {
    test(`has the objects of the generator, field by field, with the certificate by ${by}`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'bearerd-chart-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const { imagePullSecrets } = TEAM_VALUES;
      const sidecar = join(folder, 'sidecar.yaml');
      writeFileSync(
        sidecar,
        JSON.stringify({ image: 'registry/bearerd:2', image_pull_secrets: imagePullSecrets, ...SIDECAR }),
      );
      const own = by === 'a Secret' ? (await createAuthority(folder)).ca : undefined;
      const generated = await run(process.execPath, [
        ...['dist/main.js', 'generate', 'kubernetes', 'webhook', '--sidecar', sidecar, '--monitoring'],
        ...['--failure-policy', 'Fail', ...(own === undefined ? [] : ['--ca', own])],
      ]);
      const expected = manifests(generated.stdout).filter(({ kind }) => kind !== 'Namespace');
      const caBundle = expected.map(bundleOf).find((bundle) => bundle !== undefined) ?? '';
      const rendered = await renderChart(helm!, {
        ...{ image: 'registry/bearerd:2', sidecar: SIDECAR, failurePolicy: 'Fail', caBundle },
        ...{ podMonitor: true, prometheusRule: true, imagePullSecrets },
      });
      assert.equal(caBundle === '', by === 'cert-manager');
      assert.deepEqual(sorted(manifests(rendered)), sorted(expected));
    });
  }

  test('leaves out what a value switches off, and has no monitoring unless asked for', async () => {
    const kinds = manifests(await renderChart(helm!, { networkPolicy: false, podDisruptionBudget: false }));
    assert.deepEqual(
      [...new Set(kinds.map(({ kind }) => kind))].sort(),
      [
        ...['Certificate', 'ConfigMap', 'Deployment', 'Issuer', 'MutatingWebhookConfiguration'],
        ...['Service', 'ServiceAccount'],
      ].sort(),
    );
  });

  test('puts what a team gives where it belongs: on every object, and on the webhook’s pods', async () => {
    const values = { ...TEAM_VALUES, podMonitor: true, prometheusRule: true };
    for (const caBundle of ['', 'YQ==']) {
      const objects = manifests(await renderChart(helm!, { ...values, caBundle })) as unknown as Deployment[];
      for (const { kind, metadata } of objects) {
        const { labels, annotations } = metadata;
        assert.deepEqual({ ...labels, ...TEAM_VALUES.labels }, labels, kind);
        assert.deepEqual({ ...annotations, ...TEAM_VALUES.annotations }, annotations, kind);
      }
      const { spec } = objects.find(({ kind }) => kind === 'Deployment')!;
      const { metadata, spec: pod } = spec.template;
      const { labels, annotations, podAnnotations, replicas, resources, ...placed } = TEAM_VALUES;
      assert.equal(spec.replicas, replicas);
      assert.deepEqual(pod.containers[0]!.resources, resources);
      for (const [key, value] of Object.entries(placed)) assert.deepEqual(pod[key], value, key);
      assert.deepEqual(metadata.annotations, { 'bearerd.io/sidecar-sha256': true, ...podAnnotations });
      assert.deepEqual({ ...metadata.labels, ...labels }, metadata.labels);
      assert.deepEqual(
        spec.selector.matchLabels,
        { 'app.kubernetes.io/name': 'bearerd-webhook' },
        'it can never change',
      );
      const sidecar = objects.find(({ data }) => data)!.data!['sidecar.yaml'] as {
        image_pull_secrets: object;
      };
      assert.deepEqual(sidecar.image_pull_secrets, TEAM_VALUES.imagePullSecrets);
    }
  });

  test('is by the command of docs/kubernetes.md what the command in its place writes', async (t) => {
    const { folder } = await writeDocExample(t, 'docs/kubernetes.md', 'From nothing to enforced');
    const page = readFileSync('docs/kubernetes.md', 'utf8');
    const [, chart, flags] = /^helm install bearerd (\S+) (.*)$/m.exec(page)!;
    const sidecar = ['--sidecar', join(folder, 'sidecar.yaml')];
    const generated = await run(process.execPath, [
      'dist/main.js',
      'generate',
      'kubernetes',
      'webhook',
      ...sidecar,
    ]);
    const words = flags!.split(' ');
    const rendered = await run(helm!, ['template', 'bearerd', chart!, '--kube-version', '1.37.0', ...words]);
    const file = (text: string) => {
      const sidecar = manifests(text).find(({ data }) => data)!.data!['sidecar.yaml'];
      return parseSidecarFile(JSON.stringify(sidecar), 'sidecar.yaml');
    };
    assert.deepEqual(file(rendered.stdout), file(generated.stdout));
  });

  for (const [what, values] of Object.entries({
    'a label by which the objects find each other': { labels: { 'app.kubernetes.io/name': 'mine' } },
    'an annotation that cert-manager needs': { annotations: { 'cert-manager.io/inject-ca-from': 'a/b' } },
    'a label that is a number': { labels: { cost: 7 } },
    'no replica': { replicas: 0 },
    'a pull secret by its bare name': { imagePullSecrets: ['registry'] },
    'a misspelt value': { failurePolcy: 'Fail' },
    'a misspelt key of the sidecar': { sidecar: { secrets: 'keys' } },
    'an unknown policy': { failurePolicy: 'Open' },
    'an authority that is not base64 in one line': { caBundle: '-----BEGIN CERTIFICATE-----\n' },
    'a type that does not fit': { networkPolicy: 'yes' },
  })) {
    test(`${what} is refused by the schema of its values`, async () => {
      await assert.rejects(renderChart(helm!, values), /values don't meet the specifications of the schema/);
    });
  }
});

const kubernetes = await kubernetesParts();
describe('the chart before a Kubernetes API', {
  skip: helm && kubernetes ? false : 'npm run parts:kubernetes builds the parts',
}, () => {
  let cluster: Kubernetes;
  before(async () => {
    cluster = await startKubernetes(kubernetes!);
    for (const file of await otherCrds()) await cluster.kubectl(['apply', '--server-side', '-f', file]);
    // The strictest that there is.
    await cluster.createNamespace('bearerd-system', { 'pod-security.kubernetes.io/enforce': 'restricted' });
    await cluster.kubectl(['create', 'serviceaccount', 'bearerd-webhook', '--namespace', 'bearerd-system']);
  });
  after(() => cluster?.stop());

  for (const [what, values] of Object.entries({
    'its defaults': {},
    'a certificate of one’s own': { caBundle: 'YQ==', failurePolicy: 'Fail' },
    'all that can be switched': {
      podMonitor: true,
      prometheusRule: true,
      podDisruptionBudget: false,
      networkPolicy: false,
    },
    ...Object.fromEntries(Object.entries(TEAM_VALUES).map(([key, value]) => [key, { [key]: value }])),
    'everything at once': { ...TEAM_VALUES, sidecar: SIDECAR, podMonitor: true, prometheusRule: true },
  })) {
    test(`is taken, its pods too, with ${what}`, async () => {
      const rendered = await renderChart(helm!, values);
      const dryRun = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
      await cluster.kubectl(dryRun, rendered);
      const { template } = (manifests(rendered) as unknown as Deployment[]).find(
        ({ kind }) => kind === 'Deployment',
      )!.spec;
      const metadata = {
        ...template.metadata,
        name: 'webhook',
        namespace: 'bearerd-system',
        annotations: {},
      };
      await cluster.kubectl(dryRun, JSON.stringify({ ...template, apiVersion: 'v1', kind: 'Pod', metadata }));
    });
  }

  test('pods with the sidecar are as restricted as they were', async () => {
    const securityContext = {
      ...{ runAsNonRoot: true, runAsUser: 1000, allowPrivilegeEscalation: false },
      ...{ capabilities: { drop: ['ALL'] }, seccompProfile: { type: 'RuntimeDefault' } },
    };
    const { pod } = injectSidecar(
      {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app', namespace: 'bearerd-system' } },
        spec: { containers: [{ name: 'app', image: 'app:1', securityContext }] },
      },
      parseSidecarFile('image: bearerd:1\nsecret: keys\ntoken_audience: idp\n', 'sidecar.yaml'),
    )!;
    await cluster.kubectl(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], JSON.stringify(pod));
    const { securityContext: _, ...app } = pod.spec!.containers![0]!;
    const loose = { ...pod, spec: { ...pod.spec, containers: [app] } };
    await assert.rejects(
      cluster.kubectl(['apply', '--dry-run=server', '-f', '-'], JSON.stringify(loose)),
      /violates PodSecurity "restricted/,
    );
  });
});

/** Without what the text of the sidecar file, which is the same file in other words, makes different. */
function manifests(text: string): Manifest[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null)
    .map((manifest) => {
      if (manifest.data) manifest.data['sidecar.yaml'] = parse(manifest.data['sidecar.yaml'] as string);
      const annotations = manifest.spec?.template?.metadata.annotations;
      if (annotations?.['bearerd.io/sidecar-sha256'])
        annotations['bearerd.io/sidecar-sha256'] = /^[0-9a-f]{64}$/.test(
          String(annotations['bearerd.io/sidecar-sha256']),
        );
      return manifest;
    });
}

const sorted = (list: readonly Manifest[]): Manifest[] =>
  [...list].sort((a, b) => `${a.kind}/${a.metadata.name}`.localeCompare(`${b.kind}/${b.metadata.name}`));

function bundleOf(manifest: Manifest): string | undefined {
  const { webhooks } = manifest as unknown as { webhooks?: { clientConfig: { caBundle?: string } }[] };
  return webhooks?.[0]?.clientConfig.caBundle;
}
