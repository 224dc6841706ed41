// Whether a cluster of Envoy encrypts what it sends and knows to whom, by its configuration. Pure.
import { isLoopback } from '../lib/address.ts';
import { isType, type Json, json, list, objectsIn } from './envoy-json.ts';

/** No TLS on its way out of this machine. Endpoints that come by EDS have no address here, and count as far away. */
export function isPlain(cluster: Json): boolean {
  // By endpoint: a mesh encrypts to those that it knows to speak mTLS.
  if ('transport_socket_matches' in cluster) return false;
  return !encrypts(cluster['transport_socket']) && !isLocal(cluster);
}

/** TLS to whoever answers: no authority that the certificate has to be signed by. */
export function isUnverified(cluster: Json): boolean {
  const contexts = objectsIn(cluster['transport_socket']).filter(({ object }) =>
    isType(object, 'tls.v3.UpstreamTlsContext'),
  );
  return contexts.some(({ object }) => !objectsIn(object).some(({ object: part }) => isVerifying(part)));
}

/** Also inside another socket. One of a kind that is not known here counts as encrypted. */
function encrypts(socket: unknown): boolean {
  const objects = objectsIn(socket).map(({ object }) => object);
  if (objects.length === 0) return false;
  return (
    objects.some((object) => isType(object, 'UpstreamTlsContext')) ||
    !objects.some(
      (object) => isType(object, 'RawBuffer') || object['name'] === 'envoy.transport_sockets.raw_buffer',
    )
  );
}

function isVerifying(part: Json): boolean {
  return (
    'trusted_ca' in part ||
    'system_root_certs' in part ||
    'custom_validator_config' in part ||
    'ca_certificate_provider_instance' in part ||
    'verify_certificate_spki' in part ||
    'verify_certificate_hash' in part ||
    // By SDS: what it says is not here.
    'validation_context_sds_secret_config' in part
  );
}

/** Every endpoint is on this machine. */
export function isLocal(cluster: Json): boolean {
  const addresses = list(json(cluster['load_assignment'])['endpoints'])
    .flatMap((locality) => list(json(locality)['lb_endpoints']))
    .map((one) => json(json(json(one)['endpoint'])['address']));
  return (
    addresses.length > 0 &&
    addresses.every(
      (address) => 'pipe' in address || isLoopback(String(json(address['socket_address'])['address'])),
    )
  );
}
