// The webhook's own manifests: what runs it, what protects it, and what tells the API server to call it. The Helm chart is
// made of them too (tools/k8s.ts). No role: it asks nothing of the API.
import { because } from '../lib/commented-yaml.ts';

export interface WebhookOptions {
  /** Of bearerd itself, with its tag. */
  readonly image: string;
  /** By which it is pulled: Secrets of `namespace`. */
  readonly imagePullSecrets: readonly { readonly name: string }[];
  /** Where the webhook runs. */
  readonly namespace: string;
  /** Text of the sidecar file, as it becomes the ConfigMap. */
  readonly sidecar: string;
  /** Of `sidecar`: its change replaces the pods, which read it once. */
  readonly sidecarHash: string;
  /**
   * Base64 of the PEM of who signed the certificate in the Secret bearerd-webhook-certificate, which is yours to make and to
   * renew then. undefined = cert-manager does both.
   */
  readonly caBundle: string | undefined;
  /** Ignore: a pod starts without the sidecar while the webhook is away. Fail: no labelled pod starts. */
  readonly failurePolicy: string;
}

const WEBHOOK_NAME = 'bearerd-webhook';
const CERTIFICATE_SECRET = `${WEBHOOK_NAME}-certificate`;
const PORT = 9443;
const labels = { 'app.kubernetes.io/name': WEBHOOK_NAME };
/** On a namespace: its pods get the sidecar. */
const NAMESPACE_LABEL = 'bearerd.io/injection';

/** In the order in which they are applied. */
export function webhookManifests(options: WebhookOptions): readonly object[] {
  const metadata = { name: WEBHOOK_NAME, namespace: options.namespace, labels };
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: options.namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'sidecar.yaml': options.sidecar } },
    ...(options.caBundle === undefined ? certificates(metadata, options.namespace) : []),
    deployment(metadata, options),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'https', port: 443, targetPort: PORT, protocol: 'TCP' }] },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      spec: {
        // Not minAvailable, which would hold a node for ever where somebody runs one replica.
        maxUnavailable: because('One of two answers while nodes are drained.', 1),
        selector: { matchLabels: labels },
      },
    },
    {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata,
      spec: {
        podSelector: { matchLabels: labels },
        policyTypes: because('It is asked and asks nobody: no way out at all.', ['Ingress', 'Egress']),
        ingress: [{ ports: [{ port: PORT, protocol: 'TCP' }] }],
        egress: [],
      },
    },
    configuration(options),
  ];
}

function deployment(metadata: object, { image, imagePullSecrets, sidecarHash }: WebhookOptions): object {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: {
        metadata: {
          labels: { ...labels, 'sidecar.istio.io/inject': 'false', 'bearerd.io/inject': 'false' },
          annotations: { 'bearerd.io/sidecar-sha256': sidecarHash },
        },
        spec: {
          serviceAccountName: WEBHOOK_NAME,
          automountServiceAccountToken: false,
          imagePullSecrets: imagePullSecrets.length === 0 ? undefined : imagePullSecrets,
          topologySpreadConstraints: [
            {
              maxSkew: 1,
              topologyKey: 'kubernetes.io/hostname',
              whenUnsatisfiable: 'ScheduleAnyway',
              labelSelector: { matchLabels: labels },
            },
          ],
          containers: [
            {
              name: 'webhook',
              image,
              args: [
                ...['webhook', '--sidecar', '/etc/bearerd/sidecar.yaml'],
                ...['--certificate', '/etc/certificate/tls.crt', '--private-key', '/etc/certificate/tls.key'],
                ...['--listen', `0.0.0.0:${PORT}`],
              ],
              ports: [{ name: 'https', containerPort: PORT, protocol: 'TCP' }],
              readinessProbe: { httpGet: { path: '/livez', port: PORT, scheme: 'HTTPS' }, periodSeconds: 5 },
              livenessProbe: { httpGet: { path: '/livez', port: PORT, scheme: 'HTTPS' }, periodSeconds: 20 },
              resources: because(
                'Measured with the limits of the image: 67 MB idle, 139 MB with 40 reviews of 1 MB at one time (367 MB without them).',
                {
                  requests: { cpu: '10m', memory: '64Mi' },
                  limits: { memory: '384Mi' },
                },
              ),
              securityContext: {
                runAsNonRoot: true,
                runAsUser: 65_532,
                runAsGroup: 65_532,
                readOnlyRootFilesystem: true,
                allowPrivilegeEscalation: false,
                capabilities: { drop: ['ALL'] },
                seccompProfile: { type: 'RuntimeDefault' },
              },
              volumeMounts: [
                { name: 'sidecar', mountPath: '/etc/bearerd', readOnly: true },
                { name: 'certificate', mountPath: '/etc/certificate', readOnly: true },
              ],
            },
          ],
          volumes: [
            { name: 'sidecar', configMap: { name: WEBHOOK_NAME } },
            { name: 'certificate', secret: { secretName: CERTIFICATE_SECRET, defaultMode: 0o444 } },
          ],
        },
      },
    },
  };
}

/** An authority of its own for the one certificate: renewing that changes nothing that the API server trusts. */
function certificates(metadata: object, namespace: string): readonly object[] {
  const authority = { ...metadata, name: `${WEBHOOK_NAME}-authority` };
  const root = { ...metadata, name: `${WEBHOOK_NAME}-root` };
  const certificate = (spec: object, own: object) => ({
    apiVersion: 'cert-manager.io/v1',
    kind: 'Certificate',
    metadata: own,
    spec: { ...spec, privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' } },
  });
  const issuer = (spec: object, own: object) => ({
    apiVersion: 'cert-manager.io/v1',
    kind: 'Issuer',
    metadata: own,
    spec,
  });
  return [
    issuer({ selfSigned: {} }, root),
    certificate(
      {
        isCA: true,
        commonName: authority.name,
        secretName: authority.name,
        duration: '87600h',
        issuerRef: { name: root.name, kind: 'Issuer' },
      },
      authority,
    ),
    issuer({ ca: { secretName: authority.name } }, authority),
    certificate(
      {
        dnsNames: [`${WEBHOOK_NAME}.${namespace}.svc`],
        secretName: CERTIFICATE_SECRET,
        issuerRef: { name: authority.name, kind: 'Issuer' },
      },
      metadata,
    ),
  ];
}

function configuration({ namespace, failurePolicy, caBundle }: WebhookOptions): object {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      name: WEBHOOK_NAME,
      labels,
      annotations:
        caBundle === undefined
          ? because('cert-manager writes caBundle below.', {
              'cert-manager.io/inject-ca-from': `${namespace}/${WEBHOOK_NAME}`,
            })
          : undefined,
    },
    webhooks: [
      {
        name: 'inject.bearerd.io',
        admissionReviewVersions: ['v1'],
        clientConfig: {
          caBundle,
          service: { name: WEBHOOK_NAME, namespace, path: '/inject', port: 443 },
        },
        rules: [
          {
            operations: ['CREATE'],
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['pods'],
            scope: 'Namespaced',
          },
        ],
        namespaceSelector: because('Only namespaces that say so.', {
          matchExpressions: [{ key: NAMESPACE_LABEL, operator: 'In', values: ['enabled'] }],
        }),
        objectSelector: {
          matchExpressions: [{ key: 'bearerd.io/inject', operator: 'NotIn', values: ['false'] }],
        },
        reinvocationPolicy: because(
          'Called again when a later webhook changed the pod: bearerd stands before istio-proxy in any order of the two.',
          'IfNeeded',
        ),
        failurePolicy: because(
          'While the webhook is away: Ignore starts pods without bearerd, and their policies answer 503; Fail starts no pod of a labelled namespace.',
          failurePolicy,
        ),
        sideEffects: 'None',
        timeoutSeconds: 5,
      },
    ],
  };
}
