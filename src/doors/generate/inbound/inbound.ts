// Envoy's side of the inbound door: a listener in front of the app that asks bearerd for every request.
import type { Config } from '../../../config/config.ts';
import type { InboundConfig } from '../../../config/inbound/config.ts';
import type { TcpAddress } from '../../../lib/address.ts';
import { because, toYaml } from '../../../lib/commented-yaml.ts';
import { inboundBodyLimits, inboundBodyRefusals } from '../body-limits.ts';
import { bearerdCluster } from '../clusters.ts';
import { GenerateError } from '../problems.ts';
import type { Upstream } from '../upstreams.ts';
import { inboundFilters, ROUTER, SIDE_OF_ROUTE } from './filters.ts';

export interface InboundTls {
  readonly certificate: string;
  readonly private_key: string;
  /** Callers must show a certificate of it. */
  readonly client_ca?: string;
}

export interface GenerateInboundOptions {
  /** Default bootstrap. */
  readonly form?: 'bootstrap' | 'pieces';
  /** Where callers come in. Default 0.0.0.0:10001. */
  readonly listen?: TcpAddress;
  /** Where the app listens. Default 127.0.0.1:8080. */
  readonly app?: TcpAddress;
  /** Files as Envoy sees them; undefined = plain. */
  readonly tls?: InboundTls;
  readonly checkUpstream?: Upstream;
}

export const INBOUND_CHECK_CLUSTER = 'bearerd_check_inbound';
const APP_CLUSTER = 'app';
const HCM =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const DEFAULT_LISTEN: TcpAddress = { kind: 'tcp', host: '0.0.0.0', port: 10_001 };
const DEFAULT_APP: TcpAddress = { kind: 'tcp', host: '127.0.0.1', port: 8_080 };

/** YAML, the same for the same input. Throws GenerateError. */
export function generateInbound(config: Config, options: GenerateInboundOptions): string {
  const problems = problemsOf(config, options);
  if (problems.length > 0) throw new GenerateError(problems);
  const inbound = config.inbound!;
  const manager = connectionManager(config, inbound);
  const clusters = [checkCluster(config, options.checkUpstream), appCluster(options.app ?? DEFAULT_APP)];
  if (options.form === 'pieces') {
    return [
      toYaml({ clusters: clusters.slice(0, 1) }, 'Cluster of bearerd: static_resources.clusters, or CDS.'),
      toYaml(
        manager,
        'Of the connection manager that takes requests for the app: all of this. The router stays the last filter, and\nno route may switch the check off.',
      ),
    ].join('---\n');
  }
  return toYaml(
    {
      static_resources: { listeners: [listener(manager, options)], clusters },
      node: { id: 'bearerd-example', cluster: 'bearerd-example' },
      admin: { address: { socket_address: { address: '127.0.0.1', port_value: 9_902 } } },
    },
    'Made by "bearerd generate envoy --door inbound". Every request is asked for; what no policy lets in is refused.',
  );
}

function problemsOf({ inbound, listen }: Config, { checkUpstream, tls }: GenerateInboundOptions): string[] {
  if (inbound === undefined || listen.checkInbound === undefined) {
    return ['inbound and listen.check_inbound are missing: there is nothing to generate'];
  }
  const problems = [...inboundBodyRefusals(inbound)];
  const { listener, tls: checkTls } = listen.checkInbound;
  if (checkUpstream === undefined && listener.kind === 'tcp' && listener.port === 0) {
    problems.push('listen.check_inbound has port 0: Envoy has to be told a fixed one');
  }
  if (checkTls !== undefined && checkUpstream?.tls?.cert === undefined) {
    problems.push('listen.check_inbound has tls: state where Envoy finds bearerd with --check-upstream');
  }
  const wantsTls = inbound.policies.find(({ requireTls }) => requireTls);
  if (wantsTls !== undefined && tls === undefined) {
    problems.push(`policy ${wantsTls.name} has require_tls: state the listener’s certificate with --tls`);
  }
  const wantsPeer = inbound.policies.find(({ peers, bound }) => peers !== undefined || bound === 'mtls');
  if (wantsPeer !== undefined && inbound.clientCertificate === 'peer' && tls?.client_ca === undefined) {
    problems.push(
      `policy ${wantsPeer.name} asks for client certificates: state client_ca in the file of --tls`,
    );
  }
  return problems;
}

function connectionManager(config: Config, inbound: InboundConfig): object {
  const limits = inboundBodyLimits(inbound);
  return {
    '@type': HCM,
    stat_prefix: 'inbound',
    ...callerSettings(inbound),
    normalize_path: because('bearerd answers 400 to what two parsers may read differently.', false),
    merge_slashes: false,
    path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
    route_config: {
      name: 'inbound',
      virtual_hosts: [
        {
          name: 'app',
          domains: ['*'],
          typed_per_filter_config: SIDE_OF_ROUTE,
          routes: [{ match: { prefix: '/' }, route: { cluster: APP_CLUSTER } }],
        },
      ],
    },
    http_filters: [
      ...limits.hold,
      ...inboundFilters(config, inbound, INBOUND_CHECK_CLUSTER),
      ...limits.count,
      ROUTER,
    ],
  };
}

/** Of a connection manager: what of a request its caller cannot make up. */
export function callerSettings(inbound: InboundConfig): object {
  return {
    use_remote_address: because(
      'The address of the connection counts; a forged X-Forwarded-For is appended to, never believed.',
      true,
    ),
    xff_num_trusted_hops: inbound.trustedHops === 0 ? undefined : inbound.trustedHops,
    common_http_protocol_options: {
      headers_with_underscores_action: because(
        'x_user is x-user to many an app: such a header never gets in.',
        'DROP_HEADER',
      ),
    },
    ...(inbound.clientCertificate === 'xfcc'
      ? {
          forward_client_cert_details: because('Whatever a caller wrote there is dropped.', 'SANITIZE_SET'),
          set_current_client_cert_details: { uri: true, dns: true },
        }
      : {}),
  };
}

function listener(manager: object, { listen = DEFAULT_LISTEN, tls }: GenerateInboundOptions): object {
  return {
    name: 'inbound',
    address: { socket_address: { address: listen.host, port_value: listen.port } },
    filter_chains: [
      {
        transport_socket: tls && downstreamTls(tls),
        filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
      },
    ],
  };
}

function downstreamTls({ certificate, private_key, client_ca }: InboundTls): object {
  return {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
      require_client_certificate: client_ca === undefined ? undefined : true,
      common_tls_context: {
        alpn_protocols: ['h2', 'http/1.1'],
        tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
        tls_certificates: [
          { certificate_chain: { filename: certificate }, private_key: { filename: private_key } },
        ],
        validation_context: client_ca === undefined ? undefined : { trusted_ca: { filename: client_ca } },
      },
    },
  };
}

function checkCluster(config: Config, stated: Upstream | undefined): object {
  if (stated === undefined)
    return bearerdCluster(INBOUND_CHECK_CLUSTER, config.listen.checkInbound!.listener);
  const { address, port, tls } = stated;
  return bearerdCluster(INBOUND_CHECK_CLUSTER, { kind: 'tcp', host: address, port }, tls);
}

function appCluster(app: TcpAddress): object {
  return {
    name: APP_CLUSTER,
    connect_timeout: '5s',
    type: 'STATIC',
    load_assignment: {
      cluster_name: APP_CLUSTER,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: app.host, port_value: app.port } } } },
          ],
        },
      ],
    },
  };
}
