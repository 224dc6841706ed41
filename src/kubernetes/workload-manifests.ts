// What a namespace needs beside the webhook: its configuration and, where asked for, what lets its sidecars through a network
// that is closed and what closes the mesh to plain text.
import { because } from '../lib/commented-yaml.ts';
import { HEALTH_PORT } from './sidecar.ts';

export interface WorkloadOptions {
  readonly namespace: string;
  /** ConfigMap of the sidecars. */
  readonly configMap: string;
  /** Texts of the configuration as they are, by file name. */
  readonly config: Readonly<Record<string, string>>;
  /** undefined = none. */
  readonly networkPolicy: Ports | undefined;
  /** Workloads that take mTLS only, each by a label that its pods have. */
  readonly strictMtls: readonly WorkloadLabel[];
  /** Where the status page is looked at from elsewhere; undefined = nowhere. */
  readonly statusPort: number | undefined;
}

/** TCP ports of the sidecar. */
export interface Ports {
  readonly listened: readonly number[];
  readonly asked: readonly number[];
}

export interface WorkloadLabel {
  readonly key: string;
  readonly value: string;
}

/** In the order in which they are applied. */
export function workloadManifests(options: WorkloadOptions): readonly object[] {
  const { namespace, configMap, config, networkPolicy: ports, statusPort } = options;
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: configMap, namespace },
      data: config,
    },
    ...(ports === undefined ? [] : [networkPolicy(namespace, ports)]),
    ...options.strictMtls.map((label) => peerAuthentication(namespace, label, statusPort)),
  ];
}

function networkPolicy(namespace: string, { listened, asked }: Ports): object {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'bearerd', namespace },
    spec: {
      podSelector: because(
        'For a namespace whose policies refuse all by default: this only adds. Where no policy selects the pods yet, it would close them.',
        {},
      ),
      policyTypes: ['Ingress', 'Egress'],
      ingress: because('listen.*: Prometheus and the kubelet, and who looks at the status page.', [
        { ports: listened.map(tcp) },
      ]),
      egress: because(
        [
          'Names, and what the configuration names: providers, Redis, collector. Add what these name in their turn on other ports',
          '(endpoints that discovery tells, nodes of a Redis cluster), and a proxy.',
        ].join('\n'),
        [{ ports: [{ port: 53, protocol: 'UDP' }, ...[53, ...asked].map(tcp)] }],
      ),
    },
  };
}

function tcp(port: number): object {
  return { port, protocol: 'TCP' };
}

function peerAuthentication(
  namespace: string,
  { key, value }: WorkloadLabel,
  statusPort: number | undefined,
): object {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: {
      name: `bearerd-strict-${key}-${value}`.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-'),
      namespace,
    },
    spec: {
      selector: { matchLabels: { [key]: value } },
      mtls: because('Whoever calls without a certificate of the mesh is refused from now on.', {
        mode: 'STRICT',
      }),
      portLevelMtls: because('Prometheus and the kubelet have none, the status page has its own.', {
        [HEALTH_PORT]: { mode: 'PERMISSIVE' },
        ...(statusPort === undefined ? {} : { [statusPort]: { mode: 'PERMISSIVE' } }),
      }),
    },
  };
}
