// The same configuration as parts to put into one's own, each with a heading that says where it goes.

import { plain, toYaml } from '../../lib/commented-yaml.ts';
import type { BuiltParts } from './bootstrap.ts';
import type { Plan } from './plan.ts';

/** Several YAML documents, one a part. */
export function piecesText(built: BuiltParts, plan: Plan): string {
  const manager = built.connectionManager;
  const documents: [heading: string, value: unknown][] = [
    ['Clusters of bearerd: static_resources.clusters, or CDS.', { clusters: built.bearerdClusters }],
    [
      [
        'Clusters of the upstreams. Yours have other addresses and TLS settings: keep those, and take over metadata,',
        'circuit_breakers and typed_extension_protocol_options as a whole. TLS of yours needs a trusted_ca and a name: by',
        'auto_sni and auto_san_validation in these options, or, with an sni of its own, by match_typed_subject_alt_names.',
        'Never put an injector or a processor into a passthrough or ORIGINAL_DST cluster, nor into one that also serves hosts',
        'of no policy, and one source only into each.',
      ].join('\n'),
      { clusters: built.upstreamClusters },
    ],
    [
      [
        'HTTP filters and logs of the connection manager that takes the app’s requests. Filters in this order; the router',
        'stays the last one. No filter after the check may clear the route cache.',
      ].join('\n'),
      {
        http_protocol_options: manager.http_protocol_options,
        access_log: manager.access_log,
        local_reply_config: manager.local_reply_config,
        http_filters: manager.http_filters.filter((f) => !isDynamicForwardProxy(f)),
      },
    ],
    [
      [
        'Routes. Take over each route’s mark (typed_per_filter_config) and retry_policy, and a virtual host’s',
        'include_request_attempt_count; Envoy has one retry policy a route, so this one takes the place of yours. No rewrite',
        'of host or path on a route of a policy.',
        ...plan.policies.map((p) => `  ${p.name}: ${p.door}`),
      ].join('\n'),
      { route_config: manager.route_config },
    ],
  ];
  return documents.map(([heading, value]) => toYaml(value, heading)).join('---\n');
}

function isDynamicForwardProxy(filter: unknown): boolean {
  return (plain(filter) as { name: string }).name === 'envoy.filters.http.dynamic_forward_proxy';
}
