// Clusters of Envoy that a credential leaves by without TLS. Pure.
import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../lib/address.ts';
import { isType, json, list } from '../envoy-json.ts';
import type { EnvoyState } from './envoy-state.ts';
import type { Finding } from './findings.ts';

export function plaintext({ mode, outbound }: Config, state: EnvoyState): Finding[] {
  if (mode === 'development') return [];
  const carriers = carrying(state);
  const allowed = new Set(
    outbound.filter((policy) => policy.allowPlaintext || policy.deny).map(({ name }) => name),
  );
  const clusters = new Map(
    state.objects
      .filter(({ object }) => isType(object, 'cluster.v3.Cluster') || 'load_assignment' in object)
      .map(({ object }) => [String(object['name']), object]),
  );
  return [...carriers].flatMap(([name, policy]): Finding[] => {
    const cluster = clusters.get(name);
    if (cluster === undefined || allowed.has(policy) || !isPlain(cluster)) return [];
    return [
      {
        severity: 'error',
        what: `cluster ${name}: the credential of policy ${policy} leaves by it without TLS`,
        fix: 'a transport_socket with TLS (in Istio a DestinationRule), or allow_plaintext: true in the policy where something else encrypts',
      },
    ];
  });
}

/** Cluster to policy: by push and attempt the cluster says it, by check the route with the mark. */
function carrying({ objects }: EnvoyState): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const { object } of objects) {
    const policy = json(json(json(object['metadata'])['filter_metadata'])['bearerd'])['policy'];
    if (typeof policy === 'string') found.set(String(object['name']), policy);
    const mark = json(json(object['typed_per_filter_config'])['envoy.filters.http.ext_authz']);
    const cluster = json(object['route'])['cluster'];
    if ('check_settings' in mark && typeof cluster === 'string') found.set(cluster, String(object['name']));
  }
  return found;
}

/** Endpoints that come by EDS have no address here, and count as far away. */
function isPlain(cluster: Readonly<Record<string, unknown>>): boolean {
  if ('transport_socket' in cluster || 'transport_socket_matches' in cluster) return false;
  const addresses = list(json(cluster['load_assignment'])['endpoints'])
    .flatMap((locality) => list(json(locality)['lb_endpoints']))
    .map((one) => json(json(json(one)['endpoint'])['address']));
  return !(
    addresses.length > 0 &&
    addresses.every(
      (address) => 'pipe' in address || isLoopback(String(json(address['socket_address'])['address'])),
    )
  );
}
