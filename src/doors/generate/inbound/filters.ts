// HTTP filters of the inbound listener: forged headers out, then the check, then the app.
import type { Config } from '../../../config/config.ts';
import type { InboundConfig } from '../../../config/inbound/config.ts';
import { because } from '../../../lib/commented-yaml.ts';
import { headerNames } from '../../inbound/header-names.ts';
import { bearerdTimeout } from '../check-filter.ts';

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';
const EXT_AUTHZ = 'envoy.filters.http.ext_authz';

/** Confirms what the listener of bearerd says anyway: a route that asks at the wrong one is refused. */
export const SIDE_OF_ROUTE = {
  [EXT_AUTHZ]: {
    '@type': `${FILTERS}.ext_authz.v3.ExtAuthzPerRoute`,
    check_settings: { context_extensions: { side: 'inbound' } },
  },
};

/** The last one. */
export const ROUTER = {
  name: 'envoy.filters.http.router',
  typed_config: { '@type': `${FILTERS}.router.v3.Router` },
};

export function inboundFilters(config: Config, inbound: InboundConfig, cluster: string): unknown[] {
  const forwarded = [...new Set(inbound.policies.flatMap(({ forward }) => Object.keys(forward)))];
  return [
    ...(forwarded.length === 0
      ? []
      : [
          because(
            'Headers that tell the app who calls come from bearerd alone, also where the check is off.',
            {
              name: 'envoy.filters.http.header_mutation',
              typed_config: {
                '@type': `${FILTERS}.header_mutation.v3.HeaderMutation`,
                mutations: { request_mutations: forwarded.map((remove) => ({ remove })) },
              },
            },
          ),
        ]),
    {
      name: EXT_AUTHZ,
      typed_config: {
        '@type': `${FILTERS}.ext_authz.v3.ExtAuthz`,
        transport_api_version: 'V3',
        grpc_service: {
          envoy_grpc: { cluster_name: cluster },
          timeout: because(
            `max_wait is ${config.maxWaitMs} ms and bearerd answers within 70 % of this.`,
            bearerdTimeout(config),
          ),
          initial_metadata: [{ key: 'x-bearerd-side', value: 'inbound' }],
        },
        failure_mode_allow: because('Nobody comes in because bearerd is away.', false),
        status_on_error: { code: 'ServiceUnavailable' },
        allowed_headers: because('Only what rules read.', {
          patterns: headerNames(inbound, config.tracing !== undefined).map((exact) => ({ exact })),
        }),
        encode_raw_headers: because('Two values of one header must not look like one.', true),
        include_peer_certificate: true,
        include_tls_session: because('Tells TLS from plaintext.', true),
        clear_route_cache: false,
      },
    },
  ];
}
