// Upstream clusters: the policies' own, the plain ones beside them, and bearerd's sockets.

import type { ResilienceConfig } from '../../config/config.ts';
import type { ListenAddress } from '../../lib/address.ts';
import { because } from '../../lib/commented-yaml.ts';
import { HTTP_OPTIONS } from '../transport.ts';
import { METADATA_KEY } from './access-log.ts';
import type { PlannedEndpoint, PlannedPolicy } from './plan.ts';
import { clusterResilience, commonHttpOptions, http1Options } from './resilience.ts';
import { MAX_RETRIES } from './retry-policy.ts';
import {
  assumedTls,
  assumedUpstream,
  isIpAddress,
  statedUpstream,
  type Upstream,
  type Upstreams,
  type UpstreamTls,
} from './upstreams.ts';

const DFP = 'type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig';

/** Shared with the listener's filter: Envoy wants both to say the same. */
export const DNS_CACHE = { name: 'bearerd', dns_lookup_family: 'V4_PREFERRED' };

export interface UpstreamCluster {
  readonly name: string;
  readonly endpoint: PlannedEndpoint;
  /** Complete upstream filter chain with the injector or the processor; undefined = none. */
  readonly httpFilters: unknown[] | undefined;
  /** Whose requests alone come here; undefined = any. */
  readonly policy: PlannedPolicy | undefined;
}

/** Whether requests to this endpoint are resolved one by one: a wildcard has no address of its own. */
export function isDynamic(upstreams: Upstreams, endpoint: PlannedEndpoint): boolean {
  return endpoint.wildcard && statedUpstream(upstreams, endpoint) === undefined;
}

export function upstreamCluster(cluster: UpstreamCluster, upstreams: Upstreams): object {
  const { endpoint, policy } = cluster;
  const stated = statedUpstream(upstreams, endpoint);
  const dynamic = stated === undefined && endpoint.wildcard;
  const upstream = stated ?? assumedUpstream(endpoint);
  const tls = dynamic ? assumedTls(endpoint) : upstream.tls;
  return {
    name: cluster.name,
    metadata: policy && {
      filter_metadata: because('Comes back with each attempt, so that bearerd knows whose it is.', {
        [METADATA_KEY]: { source: policy.source, policy: policy.name, door: policy.door },
      }),
    },
    connect_timeout: '5s',
    ...(dynamic ? dynamicAddress() : fixedAddress(cluster.name, upstream)),
    ...clusterResilience(endpoint.resilience, policy),
    transport_socket: tls && upstreamTls(tls),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        ...httpOptions(tls, endpoint.resilience),
        http_filters: cluster.httpFilters,
      },
    },
  };
}

/** Whole even where only filters are added: Envoy refuses the options without a protocol. */
function httpOptions(tls: UpstreamTls | undefined, resilience?: ResilienceConfig): object {
  return {
    common_http_protocol_options: commonHttpOptions(resilience),
    upstream_http_protocol_options:
      tls?.sni === undefined ? { auto_sni: true, auto_san_validation: true } : undefined,
    use_downstream_protocol_config: {
      http_protocol_options: http1Options(resilience),
      http2_protocol_options: {},
    },
  };
}

function dynamicAddress(): object {
  return {
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: {
      name: 'envoy.clusters.dynamic_forward_proxy',
      typed_config: { '@type': DFP, dns_cache_config: DNS_CACHE },
    },
  };
}

function fixedAddress(name: string, upstream: Upstream): object {
  return {
    type: isIpAddress(upstream.address) ? 'STATIC' : 'STRICT_DNS',
    load_assignment: assignment(name, {
      socket_address: { address: upstream.address, port_value: upstream.port },
    }),
  };
}

function assignment(cluster: string, address: object): object {
  return { cluster_name: cluster, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] };
}

/** `name`: of the certificate; undefined = the request's host, which the options of the protocol check. */
function upstreamTls(tls: UpstreamTls, name = tls.sni): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      sni: name !== undefined && isIpAddress(name) ? undefined : name,
      common_tls_context: {
        tls_params: because('Envoy offers at most TLS 1.2 by itself, which a server for 1.3 only refuses.', {
          tls_minimum_protocol_version: 'TLSv1_2',
          tls_maximum_protocol_version: 'TLSv1_3',
        }),
        tls_certificates:
          tls.cert === undefined
            ? undefined
            : [{ certificate_chain: { filename: tls.cert }, private_key: { filename: tls.key } }],
        validation_context: {
          trusted_ca: { filename: tls.ca },
          match_typed_subject_alt_names:
            name === undefined
              ? undefined
              : [{ san_type: isIpAddress(name) ? 'IP_ADDRESS' : 'DNS', matcher: { exact: name } }],
        },
      },
    },
  };
}

/** Everything without a policy, resolved by its Host and sent on as it came. */
export function passthroughCluster(name: string, stated: Upstream | undefined): object {
  return {
    name,
    connect_timeout: '5s',
    ...(stated === undefined ? dynamicAddress() : fixedAddress(name, stated)),
    transport_socket: stated?.tls && upstreamTls(stated.tls),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        ...httpOptions(stated?.tls),
      },
    },
  };
}

/** Five seconds of 3,000 calls a second, several frames each, with room: about 5 MB of Envoy's memory at most. */
const MAX_UNREAD_FRAMES = 100_000;

/** A gRPC socket of bearerd; `tls` where it listens with TLS: its certificate has the address's name, or `sni`. */
export function bearerdCluster(name: string, address: ListenAddress, tls?: UpstreamTls): object {
  const isName = address.kind === 'tcp' && !isIpAddress(address.host);
  return {
    name,
    connect_timeout: '1s',
    type: isName ? 'STRICT_DNS' : 'STATIC',
    load_assignment: assignment(
      name,
      address.kind === 'unix'
        ? { pipe: { path: address.path } }
        : { socket_address: { address: address.host, port_value: address.port } },
    ),
    transport_socket: tls && address.kind === 'tcp' ? upstreamTls(tls, tls.sni ?? address.host) : undefined,
    circuit_breakers: because(
      'One process beside this Envoy: a limit of concurrent calls would only turn calls away.',
      {
        thresholds: [
          {
            max_connections: 1024,
            max_pending_requests: 65536,
            max_requests: 65536,
            max_retries: MAX_RETRIES,
          },
        ],
      },
    ),
    typed_extension_protocol_options: {
      [HTTP_OPTIONS]: {
        '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
        explicit_http_config: {
          http2_protocol_options: because(
            [
              'Envoy resets every call that it gives up. While bearerd stands still (a busy node, a paused machine) these pile',
              'up unread, and by default Envoy ends its own connection at the 1,000th, with every call on it.',
            ].join('\n'),
            { max_outbound_frames: MAX_UNREAD_FRAMES, max_outbound_control_frames: MAX_UNREAD_FRAMES },
          ),
        },
      },
    },
  };
}
