// How Prometheus finds the sidecars, and when it alerts: of one namespace, or once for the whole cluster.
import { because } from '../lib/commented-yaml.ts';
import { alertRules } from './alerts.ts';

export interface MonitoringOptions {
  /** Where the two objects are. */
  readonly namespace: string;
  /** Sidecars of every namespace, not only of this one. */
  readonly everywhere: boolean;
}

export function monitoringManifests({ namespace, everywhere }: MonitoringOptions): readonly object[] {
  return [
    {
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PodMonitor',
      metadata: { name: 'bearerd', namespace },
      spec: {
        namespaceSelector: everywhere ? { any: true } : undefined,
        selector: because('Every pod there; only those with the sidecar have the port.', {}),
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
