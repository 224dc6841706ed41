// Clusters of Envoy that a credential leaves by without TLS, or by TLS to whoever answers. Pure.
import type { Config, OutboundConfig } from '../../config/config.ts';
import { MARK } from '../attempt/request.ts';
import { TRANSPORT } from '../attempt/upstream.ts';
import { isType, type Json, json, list, type Placed } from '../envoy-json.ts';
import { isLocal, isPlain, isUnverified } from '../transport.ts';
import { type EnvoyState, ofType } from './envoy-state.ts';
import type { Finding } from './finding.ts';

export function plaintext({ mode, outbound }: Config, state: EnvoyState): Finding[] {
  if (mode === 'development') return [];
  const guarded = outbound.filter(
    ({ allowPlaintext, deny }) => allowPlaintext !== true && deny === undefined,
  );
  const clusters = new Map(
    state.objects
      .filter(({ object }) => isType(object, 'cluster.v3.Cluster') || 'load_assignment' in object)
      .map(({ object }) => [String(object['name']), object]),
  );
  return carrying(guarded, state).flatMap(({ cluster: name, policy }): Finding[] => {
    const cluster = clusters.get(name);
    if (cluster === undefined) return [];
    if (isPlain(cluster)) {
      return [
        {
          severity: 'error',
          what: `cluster ${name}: the credential of policy ${policy} leaves by it without TLS`,
          fix: 'a transport_socket with TLS (in Istio a DestinationRule), or allow_plaintext: true in the policy where something else encrypts',
        },
      ];
    }
    if (isLocal(cluster)) return [];
    return [...unverified(name, policy, cluster), ...silent(name, policy, cluster, state)];
  });
}

function unverified(name: string, policy: string, cluster: Json): Finding[] {
  if (!isUnverified(cluster)) return [];
  return [
    {
      severity: 'error',
      what: `cluster ${name}: the credential of policy ${policy} goes to whoever answers there, since its TLS verifies nobody`,
      fix: 'a validation_context with trusted_ca (in Istio caCertificates of the DestinationRule)',
    },
  ];
}

/** A processor of an older generator, or of one's own, that does not tell of the connection. */
function silent(name: string, policy: string, cluster: Json, state: EnvoyState): Finding[] {
  const told = processorsOf(state).filter(({ above }) => above.includes(cluster));
  if (
    told.length === 0 ||
    told.some(({ object }) => TRANSPORT.every(({ key }) => key in metadataOf(object)))
  ) {
    return [];
  }
  return [
    {
      severity: 'warning',
      what: `cluster ${name}: its processor does not tell bearerd of the connection, so ${policy} is not held back where that has no TLS`,
      fix: `initial_metadata as "bearerd generate" writes it: ${TRANSPORT.map(({ key }) => key).join(', ')}`,
    },
  ];
}

interface Carrier {
  readonly cluster: string;
  readonly policy: string;
}

/** By push and attempt the cluster says it, by check the route with the mark, or in a mesh its virtual host. */
function carrying(outbound: readonly OutboundConfig[], state: EnvoyState): readonly Carrier[] {
  const found = new Map<string, Carrier>();
  const add = (cluster: unknown, policies: readonly string[]): void => {
    const policy = outbound.find(({ name }) => policies.includes(name))?.name;
    if (typeof cluster === 'string' && policy !== undefined) found.set(cluster, { cluster, policy });
  };
  for (const { object } of state.objects) {
    add(object['name'], [
      String(json(json(json(object['metadata'])['filter_metadata'])['bearerd'])['policy']),
    ]);
    const mark = json(json(object['typed_per_filter_config'])['envoy.filters.http.ext_authz']);
    if (!('check_settings' in mark)) continue;
    add(json(object['route'])['cluster'], [String(object['name'])]);
    // A dump hides the names inside the mark.
    const names = outbound
      .filter((policy) => coversDomain(policy, object['domains']))
      .map(({ name }) => name);
    for (const route of list(object['routes'])) add(json(json(route)['route'])['cluster'], names);
  }
  for (const { object, above } of processorsOf(state)) {
    const cluster = above.findLast((a) => 'typed_extension_protocol_options' in a);
    add(cluster?.['name'], String(metadataOf(object)[MARK]).split(','));
  }
  return [...found.values()];
}

function processorsOf(state: EnvoyState): readonly Placed[] {
  return ofType(state, 'ext_proc.v3.ExternalProcessor').filter(({ object }) => MARK in metadataOf(object));
}

function metadataOf(processor: Json): Json {
  const pairs = list(json(processor['grpc_service'])['initial_metadata']).map(json);
  return Object.fromEntries(pairs.map(({ key, value }) => [String(key), value]));
}

function coversDomain({ match }: OutboundConfig, domains: unknown): boolean {
  return list(domains).some((domain) =>
    match.hosts.some(({ name, wildcard }) => domain === (wildcard ? `*.${name}` : name)),
  );
}
