// A whole Envoy configuration to try: one outbound listener for plain HTTP, every policy's upstream, bearerd's sockets.
import type { Config } from '../../config/config.ts';
import type { TcpAddress } from '../../lib/address.ts';
import { because } from '../../lib/commented-yaml.ts';
import { accessLog, requestLog } from './access-log.ts';
import { outboundBodyLimits } from './body-limits.ts';
import { CHECK_CLUSTER, checkFilter } from './check-filter.ts';
import { bearerdCluster, DNS_CACHE, isDynamic, passthroughCluster, upstreamCluster } from './clusters.ts';
import { unboundFilters } from './leak-guard.ts';
import { localReplyConfig } from './local-reply.ts';
import type { Plan } from './plan.ts';
import { xdsCluster } from './push-filter.ts';
import { listenerHttp1Options } from './resilience.ts';
import { retryHints } from './retry-policy.ts';
import { buildRouting, PASSTHROUGH_CLUSTER } from './routes.ts';
import type { Upstream, Upstreams } from './upstreams.ts';

const HCM =
  'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

export interface Parts {
  readonly config: Config;
  readonly plan: Plan;
  readonly listen: TcpAddress;
  readonly upstreams: Upstreams;
  /** Where Envoy finds the Check listener, if not where it listens. */
  readonly checkUpstream: Upstream | undefined;
}

export interface BuiltParts {
  readonly listener: object;
  /** Everything of the HTTP connection manager that is ours. */
  readonly connectionManager: {
    readonly http_protocol_options: unknown;
    readonly access_log: unknown;
    readonly local_reply_config: unknown;
    readonly route_config: unknown;
    readonly http_filters: readonly unknown[];
  };
  readonly upstreamClusters: readonly object[];
  readonly bearerdClusters: readonly object[];
}

export function buildParts({ config, plan, listen, upstreams, checkUpstream }: Parts): BuiltParts {
  const check = plan.policies.some((p) => p.door === 'check') || config.unmatched === 'deny';
  const push = plan.policies.some((p) => p.door === 'push');
  const attempt = plan.policies.some((p) => p.door === 'attempt');
  const routing = buildRouting(config, plan, upstreams);
  const passthrough = config.unmatched === 'pass';
  const dynamic =
    (passthrough && upstreams['*'] === undefined) ||
    routing.clusters.some((c) => isDynamic(upstreams, c.endpoint));

  const limits = outboundBodyLimits(config);
  const connectionManager = {
    '@type': HCM,
    stat_prefix: 'outbound',
    ...pathHandling(),
    http_protocol_options: listenerHttp1Options(plan),
    access_log: managerLogs(config, plan),
    local_reply_config: push || attempt ? localReplyConfig({ push, attempt }) : undefined,
    route_config: {
      name: 'outbound',
      ignore_port_in_host_matching: because('Rules with a port look at it themselves.', true),
      virtual_hosts: routing.virtualHosts,
    },
    http_filters: [
      ...limits.hold,
      ...limits.count,
      ...(check ? [checkFilter(config)] : []),
      ...(dynamic ? [dynamicForwardProxy()] : []),
      ...unboundFilters(config, plan),
      ...retryHints(config, plan),
      router(config, { push, attempt }),
    ],
  };
  return {
    connectionManager,
    listener: {
      name: 'outbound',
      address: { socket_address: { address: listen.host, port_value: listen.port } },
      filter_chains: [
        {
          filters: [
            { name: 'envoy.filters.network.http_connection_manager', typed_config: connectionManager },
          ],
        },
      ],
    },
    upstreamClusters: [
      ...routing.clusters.map((cluster) => upstreamCluster(cluster, upstreams)),
      ...(passthrough ? [passthroughCluster(PASSTHROUGH_CLUSTER, upstreams['*'])] : []),
    ],
    bearerdClusters: [
      ...(check || attempt ? [checkCluster(config, checkUpstream)] : []),
      ...config.listen.xds.map((x, index) => bearerdCluster(xdsCluster(index), x.listener)),
    ],
  };
}

/** undefined = none. */
export function managerLogs(config: Config, { policies }: Plan): unknown[] | undefined {
  const logs = [
    ...(policies.some((policy) => policy.door === 'check' && policy.config.deny === undefined)
      ? [
          because(
            'The check’s generation is in the metadata of the request, which the upstream log lacks.',
            accessLog(config, 'check'),
          ),
        ]
      : []),
    ...(config.accessLog === 'full' ? [requestLog(config)] : []),
  ];
  return logs.length === 0 ? undefined : logs;
}

export function buildBootstrap(parts: Parts): object {
  const built = buildParts(parts);
  return {
    static_resources: {
      listeners: [built.listener],
      clusters: [...built.bearerdClusters, ...built.upstreamClusters],
    },
    // Secrets and access logs name the node; a whole configuration has to.
    node: { id: 'bearerd-example', cluster: 'bearerd-example' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 9901 } } },
  };
}

function checkCluster(config: Config, stated: Upstream | undefined): object {
  if (stated === undefined) return bearerdCluster(CHECK_CLUSTER, config.listen.check!.listener);
  const { address, port, tls } = stated;
  return bearerdCluster(CHECK_CLUSTER, { kind: 'tcp', host: address, port }, tls);
}

/** Policies mean the path as the app sent it, so nothing may change it before them. */
function pathHandling(): object {
  return {
    normalize_path: because('Policies mean the path as the app sent it, and so does the upstream.', false),
    merge_slashes: false,
    path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
  };
}

function dynamicForwardProxy(): object {
  return {
    name: 'envoy.filters.http.dynamic_forward_proxy',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig',
      dns_cache_config: DNS_CACHE,
    },
  };
}

export function router(config: Config, doors: { readonly push: boolean; readonly attempt: boolean }): object {
  const logs = (['push', 'attempt'] as const)
    .filter((door) => doors[door])
    .map((door) => accessLog(config, door));
  return {
    name: 'envoy.filters.http.router',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router',
      upstream_log:
        logs.length > 0
          ? because('Once an attempt, so that a refusal is known before Envoy tries again.', logs)
          : undefined,
    },
  };
}
