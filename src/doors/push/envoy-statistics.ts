// How many requests of a policy Envoy served by push, and how they ended: from the statistics of its clusters, since
// bearerd sees none of them. Pure. Names as seen on Envoy 1.40: an answer that is tried again stands under `retry.` alone.
import type { Config } from '../../config/config.ts';
import { json, list } from '../envoy-json.ts';
import { planDoors } from '../generate/plan.ts';
import { clusterName } from '../generate/routes.ts';
import { meshCluster } from '../mesh-cluster.ts';

/** Attempts since Envoy's start. */
export interface PushedRequests {
  readonly enforced: number;
  readonly missing: number;
  readonly refused: number;
}

/** Of `/stats?format=json`: what is read here. */
export const STATISTICS = '(upstream_rq_completed|upstream_rq_401|credential_injector\\.[a-z]+)$';

/** What Envoy has to keep of its clusters for it: ends of names, for a stats_matcher. */
export const KEPT_STATISTICS = [
  'upstream_rq_completed',
  'upstream_rq_401',
  'credential_injector.injected',
  'credential_injector.failed',
];

/** Injected so many times, some request has been answered. */
const SOME_ANSWERED = 10;

// Istio ends the name of a cluster with a semicolon.
const STATISTIC =
  /^cluster\.(.+?);?\.((?:retry\.)?(?:upstream_rq_completed|upstream_rq_401)|credential_injector\.[a-z]+)$/;

/** Name of the policy whose requests alone a cluster serves; undefined = nobody's, or several. */
export type PolicyOfCluster = (cluster: string) => string | undefined;

export function policyOfCluster(config: Config): PolicyOfCluster {
  const known = new Map<string, string>();
  const inMesh: { readonly host: string; readonly port: number | undefined; readonly policy: string }[] = [];
  for (const { rules, endpoints } of planDoors(config, 'push').hosts) {
    for (const endpoint of endpoints) {
      const names = new Set(
        rules.filter((rule) => rule.endpoint === endpoint).map(({ policy }) => policy.name),
      );
      for (const name of names) known.set(clusterName(name, endpoint), name);
      const [only, ...others] = names;
      if (only === undefined || others.length > 0) continue;
      inMesh.push(...endpoint.names.map((host) => ({ host, port: endpoint.port, policy: only })));
    }
  }
  return (cluster) => {
    const mesh = meshCluster(cluster);
    if (mesh === undefined) return known.get(cluster);
    return inMesh.find(
      ({ host, port }) => host === mesh.service && (port === undefined || port === mesh.port),
    )?.policy;
  };
}

/** By policy; without those whose statistics Envoy does not keep. Clusters without an injector are other doors'. */
export function readPushedRequests(
  stats: unknown,
  policyOf: PolicyOfCluster,
): ReadonlyMap<string, PushedRequests> {
  const clusters = new Map<string, Map<string, number>>();
  for (const { name, value } of list(json(stats)['stats']).map(json)) {
    const match = typeof name === 'string' && typeof value === 'number' ? STATISTIC.exec(name) : null;
    if (match === null) continue;
    const [, cluster, statistic] = match as unknown as [string, string, string];
    clusters.set(cluster, (clusters.get(cluster) ?? new Map()).set(statistic, value as number));
  }
  const policies = new Map<string, PushedRequests>();
  for (const [cluster, counts] of clusters) {
    const policy = policyOf(cluster);
    const injected = counts.get('credential_injector.injected');
    if (policy === undefined || injected === undefined) continue;
    const isCounted = ['upstream_rq_completed', 'retry.upstream_rq_completed'].some((one) => counts.has(one));
    if (injected >= SOME_ANSWERED && !isCounted) continue;
    const of = (statistic: string): number => counts.get(statistic) ?? 0;
    const before = policies.get(policy) ?? { enforced: 0, missing: 0, refused: 0 };
    // What the injector ends for want of a credential is no response of the cluster's.
    const missing = of('credential_injector.failed');
    policies.set(policy, {
      enforced: before.enforced + of('upstream_rq_completed') + of('retry.upstream_rq_completed') + missing,
      missing: before.missing + missing,
      refused: before.refused + of('upstream_rq_401') + of('retry.upstream_rq_401'),
    });
  }
  return policies;
}
