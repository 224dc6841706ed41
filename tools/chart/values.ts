// The values of the Helm chart: their defaults, what they are for, and what is refused.
import * as z from 'zod';
import { sidecarFile } from '../../src/config/sidecar-file.ts';
import { webhookManifests } from '../../src/kubernetes/webhook-manifests.ts';
import { because, type Commented, plain, toYaml } from '../../src/lib/commented-yaml.ts';

interface Value {
  readonly preset: unknown;
  readonly why: string;
  /** JSON Schema draft 7, as helm reads it. */
  readonly schema: object;
}

const properties = z.toJSONSchema(sidecarFile, { io: 'input' }).properties!;
const { image: _, image_pull_secrets: pullSecrets, ...sidecar } = properties as Record<string, object>;

/** Entries beside ours, which hold the objects together. */
const texts = (ours?: string): object => ({
  type: 'object',
  additionalProperties: { type: 'string' },
  ...(ours === undefined ? {} : { propertyNames: { not: { pattern: ours } } }),
});
const OBJECTS = { type: 'array', items: { type: 'object' } };
const SWITCH = { type: 'boolean' };

function values(version: string): Readonly<Record<string, Value>> {
  const image = `bearerd:${version}`;
  const { replicas, template } = deploymentOf(image);
  const resources = template.spec.containers[0]!.resources;
  return {
    image: {
      preset: image,
      why: 'Of the webhook and of the sidecar, with its tag or digest.',
      schema: { type: 'string', minLength: 1 },
    },
    imagePullSecrets: {
      preset: [],
      why: 'By which it is pulled, each { name }: in the namespace of the webhook, and in those of the pods that get the sidecar.',
      schema: pullSecrets!,
    },
    sidecar: {
      preset: {},
      why: 'How the sidecar is put into pods, as in the sidecar file: config_map, secret, token_audience, run_as_user, status_port, resources.',
      schema: { type: 'object', additionalProperties: false, properties: sidecar },
    },
    caBundle: {
      preset: '',
      why: 'Base64 of the PEM of who signed the certificate in the Secret bearerd-webhook-certificate, which you make. Empty: cert-manager makes both.',
      // A PEM itself, or base64 in lines, would break the manifest.
      schema: { type: 'string', pattern: '^[A-Za-z0-9+/]*=*$' },
    },
    failurePolicy: {
      preset: 'Ignore',
      why: 'Ignore: pods start without the sidecar while the webhook is away; Fail: none starts.',
      schema: { type: 'string', enum: ['Ignore', 'Fail'] },
    },
    replicas: {
      preset: replicas,
      why: 'Of the webhook, as all of the following up to podDisruptionBudget.',
      schema: { type: 'integer', minimum: 1 },
    },
    resources: { preset: plain(resources), why: resources.comment, schema: { type: 'object' } },
    nodeSelector: { preset: {}, why: 'Labels of the nodes that it may run on.', schema: texts() },
    tolerations: { preset: [], why: 'Taints of nodes that it may run on all the same.', schema: OBJECTS },
    affinity: {
      preset: {},
      why: 'Nodes and pods that it is to be near to, or far from.',
      schema: { type: 'object' },
    },
    topologySpreadConstraints: {
      preset: template.spec.topologySpreadConstraints,
      why: 'On different nodes where there are.',
      schema: OBJECTS,
    },
    priorityClassName: {
      preset: '',
      why: 'With failurePolicy Fail one such as system-cluster-critical: no pod of a labelled namespace starts without it.',
      schema: { type: 'string' },
    },
    podAnnotations: {
      preset: {},
      why: 'On its pods.',
      schema: texts('^bearerd\\.io/'),
    },
    podDisruptionBudget: {
      preset: true,
      why: 'One webhook answers while nodes are drained.',
      schema: SWITCH,
    },
    networkPolicy: { preset: true, why: 'The webhook is asked at its port and asks nobody.', schema: SWITCH },
    podMonitor: {
      preset: false,
      why: 'Prometheus (its operator) reads the sidecars of all namespaces.',
      schema: SWITCH,
    },
    prometheusRule: { preset: false, why: 'Alerts over them.', schema: SWITCH },
    labels: {
      preset: {},
      why: 'On all objects and on the pods of the webhook, such as the one by which your Prometheus finds monitors and rules.',
      schema: texts('^(app\\.kubernetes\\.io/name|(sidecar\\.istio|bearerd)\\.io/.*)$'),
    },
    annotations: {
      preset: {},
      why: 'On all objects.',
      schema: texts('^cert-manager\\.io/inject-ca-from$'),
    },
  };
}

interface DeploymentSpec {
  readonly replicas: number;
  readonly template: {
    readonly spec: {
      readonly topologySpreadConstraints: readonly object[];
      readonly containers: readonly { readonly resources: Commented }[];
    };
  };
}

/** Whose presets are those of the manifests. */
function deploymentOf(image: string): DeploymentSpec {
  const nothing = { namespace: '', sidecar: '', sidecarHash: '', caBundle: '', failurePolicy: '' };
  const manifests = webhookManifests({ ...nothing, image, imagePullSecrets: [] }) as readonly {
    readonly kind: string;
    readonly spec: DeploymentSpec;
  }[];
  return manifests.find(({ kind }) => kind === 'Deployment')!.spec;
}

export function valuesFile(version: string, heading: string): string {
  return toYaml(
    Object.fromEntries(
      Object.entries(values(version)).map(([key, { preset, why }]) => [key, because(why, preset)]),
    ),
    heading,
  );
}

export function valuesSchema(version: string): object {
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    additionalProperties: false,
    properties: {
      ...Object.fromEntries(
        Object.entries(values(version)).map(([key, { why, schema }]) => [
          key,
          { ...schema, description: why },
        ]),
      ),
      // helm gives `global` to every chart.
      global: { type: 'object' },
    },
  };
}
