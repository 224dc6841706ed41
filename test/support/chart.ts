// The Helm chart as helm renders it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export const CHART = 'k8s/chart/bearerd';

/** Where a platform team's own rules show: one value each, none at its default. */
export const TEAM_VALUES = {
  imagePullSecrets: [{ name: 'registry' }],
  replicas: 3,
  resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
  nodeSelector: { 'kubernetes.io/os': 'linux' },
  tolerations: [{ key: 'dedicated', operator: 'Equal', value: 'platform', effect: 'NoSchedule' }],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'pool', operator: 'In', values: ['platform'] }] }],
      },
    },
  },
  topologySpreadConstraints: [
    {
      ...{ maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule' },
      labelSelector: { matchLabels: { 'app.kubernetes.io/name': 'bearerd-webhook' } },
    },
  ],
  priorityClassName: 'system-cluster-critical',
  podAnnotations: { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'true' },
  labels: { team: 'platform', release: 'kube-prometheus-stack', cost: '007' },
  annotations: { 'argocd.argoproj.io/sync-wave': '-1' },
} as const;

/** Standard output of `helm template` into the namespace bearerd-system. Rejects with what helm said. */
export async function renderChart(helm: string, values: object = {}): Promise<string> {
  const running = promisify(execFile)(
    helm,
    [
      ...['template', 'bearerd', CHART, '--namespace', 'bearerd-system', '--kube-version', '1.37.0'],
      ...['--values', '-'],
    ],
    { timeout: 60_000 },
  );
  running.child.stdin?.end(JSON.stringify(values));
  return (await running).stdout;
}
