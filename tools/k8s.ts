// Writes k8s/ from src/kubernetes, the one source of truth: plain manifests, and the templates of the Helm chart as the same
// objects with values in their places.   node tools/k8s.ts [FOLDER]
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import manifest from '../package.json' with { type: 'json' };
import { sidecarFile } from '../src/config/sidecar-file.ts';
import { monitoringManifests } from '../src/kubernetes/monitoring-manifests.ts';
import { webhookManifests } from '../src/kubernetes/webhook-manifests.ts';
import { because, toYaml } from '../src/lib/commented-yaml.ts';

const ROOT = join(process.argv[2] ?? '.', 'k8s');
const EXAMPLE = 'k8s/example';
const MADE = 'Made from src/kubernetes by "npm run k8s".';

async function write(path: string, text: string): Promise<void> {
  const target = join(ROOT, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, text);
}

// Plain manifests: what the commands of docs/kubernetes.md print for the example.
async function generated(what: string, ...args: string[]): Promise<void> {
  const program = ['bin/bearerd.js', 'generate', 'kubernetes', what, '--sidecar', `${EXAMPLE}/sidecar.yaml`];
  const { stdout } = await promisify(execFile)(process.execPath, [...program, ...args]);
  await write(`manifests/${what}.yaml`, `# ${MADE}\n${stdout}`);
}
await generated('webhook');
await generated('workload', '--config', `${EXAMPLE}/bearerd.yaml`, '--namespace', 'shop');
await generated('injection-template');

/** An expression of a template, which no YAML and no template takes for something else until it is written out. */
const value = (expression: string): string => `⟦${expression}⟧`;
function template(object: object): string {
  return (
    toYaml(object)
      // Prometheus has templates of its own.
      .replaceAll('{{', '{{ `{{` }}')
      .replaceAll(/⟦(.+?)⟧/g, '{{ $1 }}')
  );
}

const SIDECAR = '.Values.sidecar | merge (dict "image" .Values.image) | toYaml';
const options = {
  image: value('.Values.image | quote'),
  namespace: value('.Release.Namespace'),
  sidecar: value(`${SIDECAR} | quote`),
  sidecarHash: value(`${SIDECAR} | sha256sum`),
  failurePolicy: value('.Values.failurePolicy'),
};
const byCertManager = webhookManifests({ ...options, caBundle: undefined });
const bySecret = webhookManifests({ ...options, caBundle: value('.Values.caBundle') });
const monitoring = monitoringManifests({ namespace: options.namespace, everywhere: true });

/** Kinds that a value switches. The others are always there. */
const SWITCHES: Readonly<Record<string, string>> = {
  PodDisruptionBudget: 'podDisruptionBudget',
  NetworkPolicy: 'networkPolicy',
  PodMonitor: 'podMonitor',
  PrometheusRule: 'prometheusRule',
};
const kindOf = (object: object): string => (object as { kind: string }).kind;
const all = (kind: string, objects: readonly object[]): string =>
  objects
    .filter((object) => kindOf(object) === kind)
    .map(template)
    .join('---\n');

// `helm install --create-namespace` makes the namespace.
const kinds = new Set([...byCertManager, ...monitoring].map(kindOf).filter((kind) => kind !== 'Namespace'));
for (const kind of kinds) {
  const theirs = all(kind, [...byCertManager, ...monitoring]);
  const ours = all(kind, [...bySecret, ...monitoring]);
  const text =
    theirs === ours
      ? theirs
      : `{{- if .Values.caBundle }}\n${ours}${ours === '' ? '' : '{{- else }}\n'}${theirs}{{- end }}\n`.replace(
          /^\{\{- if \.Values\.caBundle \}\}\n(?=apiVersion: cert-manager)/,
          '{{- if not .Values.caBundle }}\n',
        );
  const switched = SWITCHES[kind];
  const whole = switched === undefined ? text : `{{- if .Values.${switched} }}\n${text}{{- end }}\n`;
  await write(`chart/bearerd/templates/${kind.toLowerCase()}.yaml`, `{{- /* ${MADE} */}}\n${whole}`);
}

await write(
  'chart/bearerd/Chart.yaml',
  toYaml(
    {
      apiVersion: 'v2',
      name: 'bearerd',
      description: 'The webhook that puts bearerd, the credential sidecar for Envoy and Istio, into pods',
      version: manifest.version,
      appVersion: manifest.version,
      kubeVersion: because('Native sidecars.', '>=1.29.0-0'),
    },
    MADE,
  ),
);

const VALUES = {
  image: [`bearerd:${manifest.version}`, 'Of the webhook and of the sidecar, with its tag.'],
  sidecar: [
    {},
    'How the sidecar is put into pods, as in the sidecar file: config_map, secret, token_audience, run_as_user, resources.',
  ],
  caBundle: [
    '',
    'Base64 of the PEM of who signed the certificate in the Secret bearerd-webhook-certificate, which you make. Empty: cert-manager makes both.',
  ],
  failurePolicy: [
    'Ignore',
    'Ignore: pods start without the sidecar while the webhook is away; Fail: none starts.',
  ],
  podDisruptionBudget: [true, 'One webhook answers while nodes are drained.'],
  networkPolicy: [true, 'The webhook is asked at its port and asks nobody.'],
  podMonitor: [false, 'Prometheus (its operator) reads the sidecars of all namespaces.'],
  prometheusRule: [false, 'Alerts over them.'],
} as const;
await write(
  'chart/bearerd/values.yaml',
  toYaml(
    Object.fromEntries(Object.entries(VALUES).map(([key, [preset, why]]) => [key, because(why, preset)])),
    MADE,
  ),
);

const { image: _, ...sidecar } = z.toJSONSchema(sidecarFile, { io: 'input' }).properties!;
const schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  properties: Object.fromEntries(
    Object.entries(VALUES).map(([key, [preset, description]]) => [
      key,
      { description, ...(key === 'image' ? { type: 'string', minLength: 1 } : { type: typeof preset }) },
    ]),
  ) as Record<string, object>,
};
schema.properties['sidecar'] = {
  ...schema.properties['sidecar'],
  additionalProperties: false,
  properties: sidecar,
};
// A PEM itself, or base64 in lines, would break the manifest.
schema.properties['caBundle'] = { ...schema.properties['caBundle'], pattern: '^[A-Za-z0-9+/]*=*$' };
schema.properties['failurePolicy'] = { ...schema.properties['failurePolicy'], enum: ['Ignore', 'Fail'] };
// helm gives `global` to every chart.
schema.properties['global'] = { type: 'object' };
await write('chart/bearerd/values.schema.json', `${JSON.stringify(schema, null, 2)}\n`);
