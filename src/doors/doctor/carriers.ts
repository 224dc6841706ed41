// Which clusters of a running Envoy a credential leaves by, whatever door puts it on. Pure.
import type { OutboundConfig } from '../../config/config.ts';
import { MARK } from '../attempt/request.ts';
import { isType, type Json, json, list, type Placed } from '../envoy-json.ts';
import { meshCluster } from '../mesh-cluster.ts';
import { askedCluster, type EnvoyState, isOurs, metadataOfCluster, ofType } from './envoy-state.ts';

export interface Carrier {
  readonly cluster: Json;
  readonly policy: string;
}

/** Each cluster once, with the first of those that `guards` wants which it serves. */
export function carriers(
  outbound: readonly OutboundConfig[],
  guards: (policy: OutboundConfig) => boolean,
  state: EnvoyState,
): readonly Carrier[] {
  const guarded = outbound.filter(guards);
  const onEverywhere = isOnEverywhere(state);
  const clusters = new Map(
    state.objects
      .filter(({ object }) => isType(object, 'cluster.v3.Cluster') || 'load_assignment' in object)
      .map(({ object }) => [String(object['name']), object]),
  );
  const found = new Map<Json, Carrier>();
  const add = (name: unknown, policies: readonly string[]): void => {
    const policy = guarded.find((one) => policies.includes(one.name))?.name;
    const cluster = clusters.get(String(name));
    if (cluster === undefined || policy === undefined || found.has(cluster)) return;
    found.set(cluster, { cluster, policy });
    // Of an aggregate the requests leave by the clusters in it.
    for (const one of list(json(json(cluster['cluster_type'])['typed_config'])['clusters']))
      add(one, policies);
  };
  for (const { object, above } of state.objects) {
    const own = policyOf(object);
    if (own !== undefined) add(object['name'], [String(own), ...policiesOfService(object['name'], outbound)]);
    const asked = markOf(object) ?? (onEverywhere && 'domains' in object ? {} : undefined);
    if (asked === undefined || asked['disabled'] === true) continue;
    const policies = policiesAsked(asked, [...above, object], outbound);
    for (const name of routesOf(object).flatMap(clustersOf)) add(name, policies);
  }
  for (const { object, above } of processorsOf(state)) {
    add(clusterAround(above)?.['name'], String(metadataOf(object)[MARK]).split(','));
  }
  for (const { object, above } of ofType(state, 'credential_injector.v3.CredentialInjector')) {
    const cluster = clusterAround(above);
    if (isOurs(object) && policyOf(cluster) === undefined)
      add(cluster?.['name'], policiesOf(object, outbound));
  }
  return [...found.values()].filter(({ cluster }) => !isAggregate(cluster));
}

/** Processors of bearerd, which say whose they are. */
export function processorsOf(state: EnvoyState): readonly Placed[] {
  return ofType(state, 'ext_proc.v3.ExternalProcessor').filter(({ object }) => MARK in metadataOf(object));
}

export function metadataOf(processor: Json): Json {
  const pairs = list(json(processor['grpc_service'])['initial_metadata']).map(json);
  return Object.fromEntries(pairs.map(({ key, value }) => [String(key), value]));
}

function clusterAround(above: readonly Json[]): Json | undefined {
  return above.findLast((one) => 'typed_extension_protocol_options' in one);
}

/** As the cluster says it. */
function policyOf(cluster: Json | undefined): unknown {
  return metadataOfCluster(json(cluster))['policy'];
}

function isAggregate(cluster: Json): boolean {
  return json(cluster['cluster_type'])['name'] === 'envoy.clusters.aggregate';
}

/** Not switched on by routes: each is asked for. */
function isOnEverywhere(state: EnvoyState): boolean {
  return ofType(state, 'ext_authz.v3.ExtAuthz').some(({ object, above }) => {
    const filter = above.findLast((one) => 'typed_config' in one);
    return askedCluster(object) === 'bearerd_check' && filter?.['disabled'] !== true;
  });
}

/** What a route or a virtual host says to the check filter, whatever that is called. */
function markOf(object: Json): Json | undefined {
  return Object.values(json(object['typed_per_filter_config']))
    .map(json)
    .find((one) => 'check_settings' in one || isType(one, 'ext_authz.v3.ExtAuthzPerRoute'));
}

/** Those of the mark or the route's name, or, since a dump hides what is inside the mark, those of the hosts that it stands in. */
function policiesAsked(
  mark: Json,
  path: readonly Json[],
  outbound: readonly OutboundConfig[],
): readonly string[] {
  const said = String(json(json(mark['check_settings'])['context_extensions'])['policy'] ?? '').split(',');
  const named = [...said, String(path.at(-1)!['name'])];
  if (outbound.some(({ name }) => named.includes(name))) return named;
  const domains = path.findLast((one) => 'domains' in one)?.['domains'];
  // Who marks a route for every host has some policy in mind.
  const isAny = 'check_settings' in mark && list(domains).includes('*');
  return outbound.filter((policy) => isAny || coversDomain(policy, domains)).map(({ name }) => name);
}

/** A route, or those of a virtual host that do not say otherwise. */
function routesOf(object: Json): readonly Json[] {
  if (!('domains' in object)) return [object];
  return list(object['routes'])
    .map(json)
    .filter((route) => markOf(route)?.['disabled'] !== true);
}

/** Also copies carry what the check put on, since it asks before they are made. */
function clustersOf(route: Json): readonly unknown[] {
  const action = json(route['route']);
  return [
    action['cluster'],
    ...list(json(action['weighted_clusters'])['clusters']).map((one) => json(one)['name']),
    ...list(action['request_mirror_policies']).map((one) => json(one)['cluster']),
  ];
}

/** By the name of its secret, where the cluster does not say it. */
function policiesOf(injector: Json, outbound: readonly OutboundConfig[]): readonly string[] {
  const { name } = json(json(json(injector['credential'])['typed_config'])['credential']);
  return outbound
    .filter(({ inject, deny }) => deny === undefined && inject.source === String(name).split('/')[0])
    .map((policy) => policy.name);
}

/** A cluster of Istio says the first policy of several. */
function policiesOfService(name: unknown, outbound: readonly OutboundConfig[]): readonly string[] {
  const mesh = meshCluster(String(name));
  return outbound
    .filter(({ match }) =>
      match.hosts.some((host) => host.name === mesh?.service && [undefined, mesh.port].includes(host.port)),
    )
    .map((policy) => policy.name);
}

function coversDomain({ match }: OutboundConfig, domains: unknown): boolean {
  return list(domains).some((domain) =>
    match.hosts.some(({ name, wildcard }) => domain === (wildcard ? `*.${name}` : name)),
  );
}
