// The patch of one cluster: what injects there, and what its policies say of connections.
import { because, plain } from '../../../lib/commented-yaml.ts';
import { HTTP_OPTIONS } from '../../transport.ts';
import { METADATA_KEY } from '../access-log.ts';
import { attemptFilters } from '../attempt-filter.ts';
import { policiesBefore } from '../plan.ts';
import { pushFilters } from '../push-filter.ts';
import { commonHttpOptions, http1Options, outlierDetection } from '../resilience.ts';
import { optionsOf } from './cluster-dump.ts';
import type { EnvoyFilterOptions } from './envoy-filters.ts';
import type { IstioHost } from './istio-hosts.ts';

/** The whole options of the protocol: a MERGE of Istio replaces them, and Envoy refuses them without a protocol. */
export function clusterPatch(
  { config, context, clusterOptions, tls }: EnvoyFilterOptions,
  host: IstioHost,
): object {
  const policies = host.policies.filter(({ door }) => door !== 'check');
  const [first] = policies;
  const own = optionsOf(clusterOptions, host.name, host.port)?.http;
  const rulesOf = (name: string) => host.rules.find(({ policy }) => policy.name === name)!;
  const filters =
    first?.door === 'attempt'
      ? attemptFilters(config, first)
      : policies.flatMap((policy, i) => {
          const rule = rulesOf(policy.name);
          const chain = pushFilters(config, policy, {
            hosts: [rule.endpoint],
            methods: policy.config.match.methods,
            paths: policy.config.match.paths,
            refuseAmbiguousPath: rule.afterPathRule && config.ambiguousPath !== 'exact_bytes',
            // The cluster serves the whole host: what check puts on an earlier policy's requests stays. Denials end before.
            except: policiesBefore(host.rules, rule)
              .filter((one) => one.deny === undefined && !policies.some(({ config }) => config === one))
              .map(({ match: { methods, paths } }) => ({
                hosts: methods === undefined && paths === undefined ? [rule.endpoint] : undefined,
                methods,
                paths,
              })),
          });
          // The codec ends the chain, once.
          return i === policies.length - 1 ? chain : chain.slice(0, -1);
        });
  return {
    applyTo: 'CLUSTER',
    match: {
      context,
      cluster: { service: host.name, ...(host.port === undefined ? {} : { portNumber: host.port }) },
    },
    patch: {
      operation: 'MERGE',
      value: {
        metadata: first && {
          filter_metadata: because('Comes back with each attempt, so that bearerd knows whose it is.', {
            [METADATA_KEY]: { source: first.source, policy: first.name, door: first.door },
          }),
        },
        outlier_detection: outlierDetection(host.resilience),
        typed_extension_protocol_options: because(
          own === undefined
            ? 'Istio replaces these options as a whole: what a DestinationRule says of HTTP (h2UpgradePolicy, idleTimeout,\nmaxRequestsPerConnection; with TLS but no sni, the check of its name) has to stand here too: --from-cluster copies it.'
            : 'Istio replaces these options as a whole, so they hold what the cluster had.',
          {
            [HTTP_OPTIONS]: {
              '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
              ...withResilience(
                own ?? {
                  // Istio has it here where a team's own rule for a host outside has no sni.
                  upstream_http_protocol_options:
                    host.inCluster || tls[host.name]?.sni !== undefined
                      ? undefined
                      : { auto_sni: true, auto_san_validation: true },
                  use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
                },
                host.resilience,
              ),
              http_filters: filters.length === 0 ? undefined : filters,
            },
          },
        ),
      },
    },
  };
}

export function changesCluster(resilience: IstioHost['resilience']): boolean {
  return (
    resilience?.outlierDetection !== undefined ||
    resilience?.headerCase !== undefined ||
    commonHttpOptions(resilience) !== undefined
  );
}

/** What the cluster has, with what a policy's resilience states. */
function withResilience(
  own: Readonly<Record<string, unknown>>,
  resilience: IstioHost['resilience'],
): Readonly<Record<string, unknown>> {
  const common = commonHttpOptions(resilience);
  const options = Object.entries(own).map(([key, value]) => {
    const protocols = value as Readonly<Record<string, unknown>>;
    const http1 = protocols?.['http_protocol_options'] as object | undefined;
    if (http1 === undefined) return [key, value];
    return [key, { ...protocols, http_protocol_options: { ...http1, ...http1Options(resilience) } }];
  });
  if (common !== undefined) {
    options.push([
      'common_http_protocol_options',
      { ...(own['common_http_protocol_options'] as object), ...(plain(common) as object) },
    ]);
  }
  return Object.fromEntries(options) as Record<string, unknown>;
}
