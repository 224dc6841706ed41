// The same configuration as parts to put into one's own, each with a heading that says where it goes.

import { plain, toYaml } from '../../lib/commented-yaml.ts';
import type { BuiltParts } from './bootstrap.ts';
import type { Plan } from './plan.ts';

const CLUSTERS_THAT_INJECT = [
  'Clusters of the upstreams. Copy yours under these names, with its addresses, TLS and protocol, and take over metadata,',
  'circuit_breakers and, of typed_extension_protocol_options, http_filters. The protocol here is that of the app’s',
  'request: an upstream that speaks HTTP/2 alone keeps its explicit_http_config. Never put an injector or a processor into',
  'a passthrough or ORIGINAL_DST cluster, nor into one that also serves hosts of no policy, and one source only into each.',
];

const CLUSTERS_THAT_DO_NOT = [
  'Clusters of the upstreams. The check door needs nothing in them: keep yours, with their addresses, TLS and protocol.',
];

/** Several YAML documents, one a part. */
export function piecesText(built: BuiltParts, plan: Plan): string {
  const manager = built.connectionManager;
  const documents: [heading: string, value: unknown][] = [
    [
      [
        'Clusters of bearerd: static_resources.clusters, or CDS. Secrets by SDS (the push door) need an id and a cluster of the',
        'node, in the bootstrap or by --service-node and --service-cluster.',
      ].join('\n'),
      { clusters: built.bearerdClusters },
    ],
    [
      [
        ...(plan.policies.some(({ door }) => door !== 'check') ? CLUSTERS_THAT_INJECT : CLUSTERS_THAT_DO_NOT),
        'TLS of yours needs a trusted_ca and a name: by auto_sni and auto_san_validation in these options, or, with an sni',
        'of its own, by match_typed_subject_alt_names.',
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
        'include_request_attempt_count; Envoy has one retry policy a route, so this one takes the place of yours (resilience',
        'in the policy repeats what failed otherwise). First routes without a name are for paths that two parsers may read',
        'differently: take them over too. No rewrite of host or path on a route of a policy.',
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
