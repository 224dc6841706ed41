// What a sidecar has to count for the guard. Istio's bootstrap keeps nearly no statistics of clusters, and no EnvoyFilter
// changes a bootstrap: only an annotation of the pod, or the mesh configuration, does.
import { toYaml } from '../../../lib/commented-yaml.ts';
import { KEPT_STATISTICS } from '../../push/envoy-statistics.ts';
import type { Plan } from '../plan.ts';

/** Nothing where no policy with a guard goes by push. */
export function statisticsLines({ policies }: Plan): readonly string[] {
  const guarded = policies.filter(({ door, config }) => door === 'push' && config.guard !== undefined);
  if (guarded.length === 0) return [];
  const annotation = toYaml({
    'proxy.istio.io/config': toYaml({ proxyStatsMatcher: { inclusionSuffixes: KEPT_STATISTICS } }),
  });
  return [
    `The guard of ${guarded.map(({ name }) => name).join(', ')} sees no request unless the sidecar counts them. Put under annotations of the pod`,
    'template, or proxyStatsMatcher into defaultConfig of the mesh configuration:',
    ...annotation
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`),
  ];
}
