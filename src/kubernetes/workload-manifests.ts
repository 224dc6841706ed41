// What a namespace needs beside the webhook: its configuration, how Prometheus finds its sidecars, and when it alerts.
import { because } from '../lib/commented-yaml.ts';
import { alertRules } from './alerts.ts';

export interface WorkloadOptions {
  readonly namespace: string;
  /** ConfigMap of the sidecars. */
  readonly configMap: string;
  /** Texts of the configuration as they are, by file name. */
  readonly config: Readonly<Record<string, string>>;
}

/** In the order in which they are applied. */
export function workloadManifests({ namespace, configMap, config }: WorkloadOptions): readonly object[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: configMap, namespace },
      data: config,
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PodMonitor',
      metadata: { name: 'bearerd', namespace },
      spec: {
        selector: because('Every pod of the namespace; only those with the sidecar have the port.', {}),
        podMetricsEndpoints: [{ port: 'bearerd-health', path: '/metrics', interval: '30s' }],
      },
    },
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: { name: 'bearerd', namespace },
      spec: alertRules(),
    },
  ];
}
