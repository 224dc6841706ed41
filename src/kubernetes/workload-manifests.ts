// What a namespace needs beside the webhook: its configuration, how it is watched, and, where asked for, what lets its sidecars
// through a network that is closed and what closes the mesh to plain text.
import { because } from '../lib/commented-yaml.ts';
import { monitoringManifests } from './monitoring-manifests.ts';
import { HEALTH_PORT } from './sidecar.ts';

export interface WorkloadOptions {
  readonly namespace: string;
  /** ConfigMap of the sidecars. */
  readonly configMap: string;
  /** Texts of the configuration as they are, by file name. */
  readonly config: Readonly<Record<string, string>>;
  readonly networkPolicy: boolean;
  /** Workloads that take mTLS only, each by a label that its pods have. */
  readonly strictMtls: readonly WorkloadLabel[];
}

export interface WorkloadLabel {
  readonly key: string;
  readonly value: string;
}

/** In the order in which they are applied. */
export function workloadManifests(options: WorkloadOptions): readonly object[] {
  const { namespace, configMap, config } = options;
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: configMap, namespace },
      data: config,
    },
    ...monitoringManifests({ namespace, everywhere: false }),
    ...(options.networkPolicy ? [networkPolicy(namespace)] : []),
    ...options.strictMtls.map((label) => peerAuthentication(namespace, label)),
  ];
}

function networkPolicy(namespace: string): object {
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
      ingress: because('Prometheus and the kubelet.', [{ ports: [{ port: HEALTH_PORT, protocol: 'TCP' }] }]),
      egress: because('Names, and identity providers; add what listens elsewhere, such as Redis.', [
        { ports: [53, 53, 443].map((port, i) => ({ port, protocol: i === 0 ? 'UDP' : 'TCP' })) },
      ]),
    },
  };
}

function peerAuthentication(namespace: string, { key, value }: WorkloadLabel): object {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: `bearerd-strict-${value.toLowerCase().replaceAll(/[^a-z0-9-]/g, '-')}`, namespace },
    spec: {
      selector: { matchLabels: { [key]: value } },
      mtls: because('Whoever calls without a certificate of the mesh is refused from now on.', {
        mode: 'STRICT',
      }),
      portLevelMtls: because('Prometheus and the kubelet have none.', {
        [HEALTH_PORT]: { mode: 'PERMISSIVE' },
      }),
    },
  };
}
