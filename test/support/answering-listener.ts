// A listener of Envoy that answers by itself what its filters let through.

const FILTERS = 'type.googleapis.com/envoy.extensions.filters';
const ANSWER = [{ match: { prefix: '/' }, direct_response: { status: 200 } }];

/** On loopback. `filters` stand before the router; `port` 0 = any free one. */
export function answeringListener(
  name: string,
  filters: readonly object[],
  port = 0,
  routes: readonly object[] = ANSWER,
): object {
  const manager = {
    '@type': `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [
      ...filters,
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${FILTERS}.http.router.v3.Router` },
      },
    ],
  };
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
  };
}
