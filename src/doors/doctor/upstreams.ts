// Clusters of Envoy that a credential leaves by without TLS, or by TLS to whoever answers. Pure.
import type { Config } from '../../config/config.ts';
import { TRANSPORT } from '../attempt/upstream.ts';
import { type Json, json } from '../envoy-json.ts';
import { meshCluster } from '../mesh-cluster.ts';
import {
  encryptedSockets,
  endpointsOf,
  isLocal,
  isLocalEndpoint,
  isPlain,
  openEndpoints,
  type Stranger,
  sniOf,
  socketOf,
  strangersOf,
} from '../transport.ts';
import { carriers, metadataOf, processorsOf } from './carriers.ts';
import type { EnvoyState } from './envoy-state.ts';
import type { Finding } from './finding.ts';

export function upstreams({ mode, outbound }: Config, state: EnvoyState): Finding[] {
  if (mode === 'development') return [];
  const guarded = carriers(
    outbound,
    ({ allowPlaintext, deny }) => allowPlaintext !== true && deny === undefined,
    state,
  );
  return [
    ...guarded.flatMap(({ cluster, policy }) => [
      ...where(cluster, `the credential of policy ${policy}`, state),
      ...silent(cluster, policy, state),
    ]),
    ...[...ownClusters(state).values()].flatMap((cluster) =>
      where(cluster, 'what bearerd is asked for, with the tokens of users,', state),
    ),
  ];
}

/** Of bearerd itself, which apps' requests are shown to. */
function ownClusters({ objects }: EnvoyState): ReadonlyMap<string, Json> {
  const own = objects.filter(
    ({ object }) =>
      /^bearerd_(check|check_inbound)$/.test(String(object['name'])) && 'load_assignment' in object,
  );
  return new Map(own.map(({ object }) => [String(object['name']), object]));
}

/** Where connections of the cluster lead `what`. */
function where(cluster: Json, what: string, state: EnvoyState): Finding[] {
  const endpoints = endpointsOf(cluster, state.endpoints);
  const far = endpoints.filter((one) => !isLocalEndpoint(one));
  if (endpoints.length > 0 && far.length === 0) return [];
  const open = openEndpoints(cluster, endpoints);
  const sockets =
    far.length === 0 ? encryptedSockets(cluster) : far.map((endpoint) => socketOf(cluster, endpoint));
  const strangers = strangersOf(cluster, [...new Set(sockets)], state.validations);
  return [
    ...(open.length > 0 || (far.length === 0 && isPlain(cluster)) ? [plain(cluster, what, open)] : []),
    ...(strangers === undefined ? [] : [unverified(cluster, what, strangers)]),
  ];
}

function plain(cluster: Json, what: string, open: readonly Json[]): Finding {
  const name = String(cluster['name']);
  const byEndpoint = 'transport_socket_matches' in cluster;
  const { address, port_value } = json(json(json(json(open[0])['endpoint'])['address'])['socket_address']);
  return {
    severity: 'error',
    what: `cluster ${name}: ${what} leaves by it without TLS${byEndpoint ? ` to ${open.length} of its endpoints, ${address}:${port_value} first` : ''}`,
    fix: byEndpoint
      ? 'a sidecar for them, or tls.mode ISTIO_MUTUAL in the DestinationRule; or allow_plaintext: true in the policy where something else encrypts'
      : 'a transport_socket with TLS (in Istio a DestinationRule), or allow_plaintext: true in the policy where something else encrypts',
  };
}

const WHO: Readonly<Record<Stranger, string>> = {
  anybody: 'whoever answers there, since its TLS verifies nobody',
  authority: 'whoever has a certificate of its authority, since its TLS checks no name',
  mesh: 'whichever workload of the mesh answers there, since its TLS checks no name',
};

function unverified(cluster: Json, what: string, strangers: Stranger): Finding {
  return {
    // Of the mesh's own mTLS Istio states the names while it knows an endpoint.
    severity: strangers === 'mesh' ? 'warning' : 'error',
    what: `cluster ${cluster['name']}: ${what} goes to ${WHO[strangers]}`,
    fix: fixOf(cluster, strangers),
  };
}

function fixOf(cluster: Json, strangers: Stranger): string {
  const sni = sniOf(cluster);
  const service = meshCluster(String(cluster['name']))?.service;
  const rule = `of the DestinationRule for ${service}`;
  if (strangers === 'anybody') {
    return service === undefined
      ? 'validation_context.trusted_ca in its UpstreamTlsContext, without trust_chain_verification: ACCEPT_UNTRUSTED'
      : `trafficPolicy.tls.caCertificates ${rule}, without insecureSkipVerify`;
  }
  if (strangers === 'mesh') {
    return service === undefined
      ? 'validation_context.match_typed_subject_alt_names: [{ san_type: URI, matcher: { exact: SPIFFE ID } }] in its UpstreamTlsContext'
      : `trafficPolicy.tls.subjectAltNames: [SPIFFE ID of its service account] ${rule}; Istio has those of pods that run by itself`;
  }
  if (service !== undefined) return `trafficPolicy.tls.subjectAltNames: [${sni ?? service}] ${rule}`;
  return sni === undefined && !/^bearerd_/.test(String(cluster['name']))
    ? 'upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true } in its HttpProtocolOptions'
    : `validation_context.match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: ${sni ?? 'NAME'} } }] in its UpstreamTlsContext`;
}

/** A processor of an older generator, or of one's own, that does not tell of the connection. */
function silent(cluster: Json, policy: string, state: EnvoyState): Finding[] {
  if (isLocal(cluster)) return [];
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
      what: `cluster ${cluster['name']}: its processor does not tell bearerd of the connection, so ${policy} is not held back where that has no TLS`,
      fix: `initial_metadata as "bearerd generate" writes it: ${TRANSPORT.map(({ key }) => key).join(', ')}`,
    },
  ];
}
