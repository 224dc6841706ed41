// Whether a cluster of Envoy encrypts what it sends and knows to whom, by its configuration. Pure.
import { isLoopback } from '../lib/address.ts';
import { isType, type Json, json, list, objectsIn, type Placed } from './envoy-json.ts';

export const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/**
 * Who may answer beside the server that is meant. anybody: no authority is asked for. authority: whoever has a certificate of it, for
 * whatever name. mesh: any workload of the mesh.
 */
export type Stranger = 'anybody' | 'authority' | 'mesh';

/** What secrets say of certificates, by name: what came by SDS. */
export type Validations = ReadonlyMap<string, Json>;

export function validationsIn(objects: readonly Placed[]): Validations {
  return new Map(
    objects
      .filter(({ object }) => isType(object, 'tls.v3.Secret') && 'validation_context' in object)
      .map(({ object }) => [String(object['name']), json(object['validation_context'])]),
  );
}

/** No TLS on its way out of this machine. Endpoints that come by EDS have no address here, and count as far away. */
export function isPlain(cluster: Json): boolean {
  // By endpoint: a mesh encrypts to those that it knows to speak mTLS.
  if ('transport_socket_matches' in cluster) return false;
  return isPlainSocket(cluster['transport_socket']) && !isLocal(cluster);
}

/** Of those who may answer by any of these sockets the most. */
export function strangersOf(
  cluster: Json,
  sockets: readonly unknown[],
  validations: Validations,
): Stranger | undefined {
  const byHost = optionsByHost(cluster);
  const found = sockets
    .flatMap((socket) => objectsIn(socket))
    // Inside QUIC or STARTTLS a context has no type.
    .filter(({ object }) => 'common_tls_context' in object || isType(object, 'tls.v3.UpstreamTlsContext'))
    .map(({ object }) => strangers(object, byHost, validations));
  return (['anybody', 'authority', 'mesh'] as const).find((one) => found.includes(one));
}

function strangers(context: Json, byHost: Json, validations: Validations): Stranger | undefined {
  const own = objectsIn(context).map(({ object }) => object);
  const names = own.flatMap((part) =>
    'validation_context_sds_secret_config' in part
      ? [String(json(part['validation_context_sds_secret_config'])['name'])]
      : [],
  );
  const parts = [
    ...own,
    ...names.flatMap((name) => objectsIn(validations.get(name)).map(({ object }) => object)),
  ];
  const any = (holds: (part: Json) => boolean): boolean => parts.some(holds);
  if (any((part) => part['trust_chain_verification'] === 'ACCEPT_UNTRUSTED')) return 'anybody';
  if (any((part) => PINS.some((key) => list(part[key]).length > 0))) return undefined;
  // What has not come by SDS yet is not here; no connection is made before.
  const isSigned = any(hasAuthority) || names.some((name) => !validations.has(name));
  if (!isSigned) return 'anybody';
  const isOwn = any((part) => OWN_NAMES.some((key) => list(part[key]).length > 0));
  // Without a name to ask for it checks none (seen on 1.36.2 and 1.40.0).
  const isAsked = [context['sni'], context['auto_host_sni'], byHost['auto_sni']].some(Boolean);
  const isNamed = byHost['auto_san_validation'] || (context['auto_sni_san_validation'] && isAsked);
  if (isNamed || isOwn) return undefined;
  if (names.includes('ROOTCA') || any((part) => part['name'] === SPIFFE)) return 'mesh';
  return any((part) => 'custom_validator_config' in part) ? undefined : 'authority';
}

/** A certificate by itself: who has it is the server. */
const PINS = ['verify_certificate_spki', 'verify_certificate_hash'];
const OWN_NAMES = ['match_typed_subject_alt_names', 'match_subject_alt_names'];
const SPIFFE = 'envoy.tls.cert_validator.spiffe';

function hasAuthority(part: Json): boolean {
  return (
    'trusted_ca' in part ||
    'system_root_certs' in part ||
    'custom_validator_config' in part ||
    'ca_certificate_provider_instance' in part
  );
}

/** What is made of the request's host. A header that the app writes is none. */
function optionsByHost(cluster: Json): Json {
  const options = json(json(cluster['typed_extension_protocol_options'])[HTTP_OPTIONS]);
  const upstream = json(
    options['upstream_http_protocol_options'] ?? cluster['upstream_http_protocol_options'],
  );
  return upstream['override_auto_sni_header'] ? {} : upstream;
}

/** Also inside another socket. One of a kind that is not known here counts as encrypted, so does a tunnel of a mesh. */
export function isPlainSocket(socket: unknown): boolean {
  const objects = objectsIn(socket).map(({ object }) => object);
  if (objects.length === 0) return true;
  return (
    !objects.some(
      (object) => isType(object, 'UpstreamTlsContext') || isType(object, 'InternalUpstreamTransport'),
    ) &&
    objects.some(
      (object) => isType(object, 'RawBuffer') || object['name'] === 'envoy.transport_sockets.raw_buffer',
    )
  );
}

/** Of clusters whose endpoints came by EDS, by the name that these have there. */
export type Endpoints = ReadonlyMap<string, readonly Json[]>;

export function endpointsIn(objects: readonly Placed[]): Endpoints {
  return new Map(
    objects
      .map(({ object }) => json(object['endpoint_config']))
      .filter((one) => 'cluster_name' in one)
      .map((one) => [String(one['cluster_name']), assigned(one)]),
  );
}

/** Empty = not known. */
export function endpointsOf(cluster: Json, endpoints: Endpoints): readonly Json[] {
  if ('load_assignment' in cluster) return assigned(json(cluster['load_assignment']));
  return endpoints.get(String(json(cluster['eds_cluster_config'])['service_name'] ?? cluster['name'])) ?? [];
}

function assigned(assignment: Json): readonly Json[] {
  return list(assignment['endpoints']).flatMap((locality) => list(json(locality)['lb_endpoints']).map(json));
}

/** Those beyond this machine that are reached without TLS. */
export function openEndpoints(cluster: Json, endpoints: readonly Json[]): readonly Json[] {
  return endpoints.filter((one) => !isLocalEndpoint(one) && isPlainSocket(socketOf(cluster, one)));
}

/** The name that its TLS asks for; undefined = the request's host, or none. */
export function sniOf(cluster: Json): string | undefined {
  const asked = objectsIn([cluster['transport_socket'], cluster['transport_socket_matches']]).map(
    ({ object }) => object['sni'],
  );
  return asked.find((one): one is string => typeof one === 'string' && one !== '');
}

/** Every endpoint is on this machine. */
export function isLocal(cluster: Json): boolean {
  const endpoints = assigned(json(cluster['load_assignment']));
  return endpoints.length > 0 && endpoints.every(isLocalEndpoint);
}

export function isLocalEndpoint(endpoint: Json): boolean {
  const address = json(json(endpoint['endpoint'])['address']);
  return 'pipe' in address || isLoopback(String(json(address['socket_address'])['address']));
}

/** By which a connection to it is made: the first whose labels it has, or else the cluster's own. */
export function socketOf(cluster: Json, endpoint: Json): unknown {
  const labels = json(json(json(endpoint['metadata'])['filter_metadata'])['envoy.transport_socket_match']);
  const match = list(cluster['transport_socket_matches'])
    .map(json)
    .find((one) =>
      Object.entries(json(one['match'])).every(
        ([key, value]) => JSON.stringify(labels[key]) === JSON.stringify(value),
      ),
    );
  return match === undefined ? cluster['transport_socket'] : match['transport_socket'];
}

/** Those by which any endpoint may be reached that is not known. */
export function encryptedSockets(cluster: Json): readonly unknown[] {
  const matches = list(cluster['transport_socket_matches']).map((one) => json(one)['transport_socket']);
  return [...matches, cluster['transport_socket']].filter((socket) => !isPlainSocket(socket));
}
