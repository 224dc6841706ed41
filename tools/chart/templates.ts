// The templates of the Helm chart: the objects of src/kubernetes with values in their places, and entries that a team adds.
import { monitoringManifests } from '../../src/kubernetes/monitoring-manifests.ts';
import { webhookManifests } from '../../src/kubernetes/webhook-manifests.ts';
import { Commented, toYaml } from '../../src/lib/commented-yaml.ts';

/** An expression of a template, which no YAML and no template takes for something else until it is written out. */
const value = (expression: string): string => `⟦${expression}⟧`;
/** A value whose key is left out where it is empty. */
const unlessEmpty = (name: string): string => value(`?.Values.${name}`);
/** As an entry of a mapping: all entries of a value. */
const entriesOf = (name: string): object => ({ [value(`.Values.${name}`)]: '' });

function template(object: object): string {
  return (
    toYaml(object)
      // Prometheus has templates of its own.
      .replaceAll('{{', '{{ `{{` }}')
      .replaceAll(
        /^( *)(\S+): ⟦\?(.+?)⟧$/gm,
        (_, indent: string, key: string, expression: string) =>
          `{{- with ${expression} }}\n${indent}${key}:\n  {{- toYaml . | nindent ${indent.length + 2} }}\n{{- end }}`,
      )
      .replaceAll(
        /^( *)⟦(.+?)⟧: ""$/gm,
        (_, { length }: string, expression: string) =>
          `{{- with ${expression} }}\n{{- toYaml . | nindent ${length} }}\n{{- end }}`,
      )
      .replaceAll(/⟦(.+?)⟧/g, '{{ $1 }}')
  );
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly labels?: object; readonly annotations?: object | Commented };
}

interface Deployment extends Manifest {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: object; readonly annotations: object };
      readonly spec: { readonly containers: readonly object[] };
    };
  };
}

/** `entries` and those of the value; with none of them the key is left out. */
function extended(entries: object | Commented | undefined, name: string): unknown {
  if (entries === undefined) return unlessEmpty(name);
  if (entries instanceof Commented)
    return new Commented(entries.comment, extended(entries.value as object, name));
  return { ...entries, ...entriesOf(name) };
}

function withValues(object: object): Manifest {
  const manifest = object as Manifest;
  const metadata = {
    ...manifest.metadata,
    labels: extended(manifest.metadata.labels, 'labels') as object,
    annotations: extended(manifest.metadata.annotations, 'annotations') as object,
  };
  return manifest.kind === 'Deployment'
    ? ({ ...(manifest as Deployment), metadata, spec: deploymentSpec(manifest as Deployment) } as Manifest)
    : { ...manifest, metadata };
}

function deploymentSpec({ spec }: Deployment): object {
  const { metadata, spec: pod } = spec.template;
  const [container] = pod.containers;
  return {
    ...spec,
    replicas: value('.Values.replicas'),
    template: {
      metadata: {
        labels: extended(metadata.labels, 'labels'),
        annotations: extended(metadata.annotations, 'podAnnotations'),
      },
      spec: {
        ...pod,
        ...Object.fromEntries(
          [
            ...['imagePullSecrets', 'nodeSelector', 'tolerations', 'affinity'],
            ...['priorityClassName', 'topologySpreadConstraints'],
          ].map((name) => [name, unlessEmpty(name)]),
        ),
        containers: [{ ...container, resources: unlessEmpty('resources') }],
      },
    },
  };
}

const SIDECAR =
  '.Values.sidecar | merge (dict "image" .Values.image "image_pull_secrets" .Values.imagePullSecrets) | toYaml';
const options = {
  image: value('.Values.image | quote'),
  imagePullSecrets: [],
  namespace: value('.Release.Namespace'),
  sidecar: value(`${SIDECAR} | quote`),
  sidecarHash: value(`${SIDECAR} | sha256sum`),
  failurePolicy: value('.Values.failurePolicy'),
};

/** Kinds that a value switches. The others are always there. */
const SWITCHES: Readonly<Record<string, string>> = {
  PodDisruptionBudget: 'podDisruptionBudget',
  NetworkPolicy: 'networkPolicy',
  PodMonitor: 'podMonitor',
  PrometheusRule: 'prometheusRule',
};

/** By kind. */
export function templates(): ReadonlyMap<string, string> {
  const monitoring = monitoringManifests({ namespace: options.namespace, everywhere: true });
  const manifests = (caBundle: string | undefined) =>
    // `helm install --create-namespace` makes the namespace.
    [...webhookManifests({ ...options, caBundle }), ...monitoring]
      .map(withValues)
      .filter(({ kind }) => kind !== 'Namespace');
  const byCertManager = manifests(undefined);
  const bySecret = manifests(value('.Values.caBundle'));
  return new Map(
    [...new Set(byCertManager.map(({ kind }) => kind))].map((kind) => {
      const text = byAuthority(all(kind, bySecret), all(kind, byCertManager));
      const switched = SWITCHES[kind];
      return [kind, switched === undefined ? text : `{{- if .Values.${switched} }}\n${text}{{- end }}\n`];
    }),
  );
}

const all = (kind: string, manifests: readonly Manifest[]): string =>
  manifests
    .filter((manifest) => manifest.kind === kind)
    .map(template)
    .join('---\n');

function byAuthority(own: string, ofCertManager: string): string {
  if (own === ofCertManager) return own;
  return own === ''
    ? `{{- if not .Values.caBundle }}\n${ofCertManager}{{- end }}\n`
    : `{{- if .Values.caBundle }}\n${own}{{- else }}\n${ofCertManager}{{- end }}\n`;
}

export const NOTES = `bearerd {{ .Chart.AppVersion }} is put into the pods of a namespace once it has the label, and its ConfigMap is there:

  kubectl rollout status deployment/bearerd-webhook --namespace {{ .Release.Namespace }}
  bearerd generate kubernetes workload --sidecar FILE --config FILE --namespace NAMESPACE | kubectl apply -f -
  kubectl label namespace NAMESPACE bearerd.io/injection=enabled
  kubectl rollout restart deployment --namespace NAMESPACE
`;
