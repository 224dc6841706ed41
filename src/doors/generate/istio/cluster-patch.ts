// The patches of a host's clusters: what injects there, and what its policies say of connections.
import type { Config } from '../../../config/config.ts';
import { because, plain } from '../../../lib/commented-yaml.ts';
import { HTTP_OPTIONS } from '../../transport.ts';
import { METADATA_KEY } from '../access-log.ts';
import { attemptFilters } from '../attempt-filter.ts';
import type { RequestRules } from '../matcher.ts';
import { type PlannedRule, type RulesTogether, rulesTogether } from '../plan.ts';
import { pushFilters } from '../push-filter.ts';
import { commonHttpOptions, http1Options, outlierDetection } from '../resilience.ts';
import { type ClusterOptions, type OwnOptions, optionsOf } from './cluster-dump.ts';
import type { IstioHost } from './istio-hosts.ts';
import type { OutsideTls } from './outside.ts';
import type { Placed } from './patches.ts';

export interface ClusterPatchOptions extends Pick<Placed, 'context'> {
  readonly config: Config;
  /** What the clusters say of HTTP by now. */
  readonly clusterOptions: ClusterOptions;
  readonly tls: OutsideTls;
}

/** Whether any of its policies changes its clusters. */
export function isPatched({ policies, resilience }: IstioHost): boolean {
  return policies.some(({ door }) => door !== 'check') || changesCluster(resilience);
}

/** One for all, or, where ports or subsets say different things of HTTP (a subset with TLS of its own), one each. */
export function clusterPatches(options: ClusterPatchOptions, host: IstioHost): readonly object[] {
  const { name, port } = host;
  const known = optionsOf(options.clusterOptions, host);
  if (new Set(known.map(({ http }) => JSON.stringify(http))).size > 1)
    return known.map((own) => clusterPatch(options, host, { name: own.name }, own));
  const all = { service: name, ...(port === undefined ? {} : { portNumber: port }) };
  return [clusterPatch(options, host, all, known[0])];
}

/** The whole options of the protocol: a MERGE of Istio replaces them, and Envoy refuses them without a protocol. */
function clusterPatch(
  { config, context, tls }: ClusterPatchOptions,
  host: IstioHost,
  cluster: object,
  known: OwnOptions | undefined,
): object {
  const policies = host.policies.filter(({ door }) => door !== 'check');
  const [first] = policies;
  const own = known?.http;
  // Istio has it here where a team's own rule for a host outside has no sni.
  const byHost =
    host.inCluster || tls[host.name]?.sni !== undefined || (known !== undefined && known.plain === undefined)
      ? {}
      : { upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true } };
  const filters = first?.door === 'attempt' ? attemptFilters(config, first) : injectors(config, host);
  return {
    applyTo: 'CLUSTER',
    match: { context, cluster },
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
              ...withResilience({ ...byHost, ...(own ?? ANY_PROTOCOL) }, host.resilience),
              http_filters: filters.length === 0 ? undefined : filters,
            },
          },
        ),
      },
    },
  };
}

/** Without an end where nothing is pushed. */
function injectors(config: Config, { rules, tried }: IstioHost): unknown[] {
  const place = ({ policy }: PlannedRule) => config.outbound.indexOf(policy.config);
  const chains = rulesTogether(tried).flatMap((own, i, all) => {
    const here = own.find((rule) => rules.includes(rule));
    if (here?.policy.door !== 'push') return [];
    // The cluster serves the whole host: requests of an earlier policy stay as that one left them. Denials end before.
    const earlier = all
      .slice(0, i)
      .filter(([{ policy }]) => policy !== here.policy && !policy.config.deny)
      .map(requestRules);
    return [
      pushFilters(config, here.policy, {
        ...requestRules(own),
        refuseAmbiguousPath:
          config.ambiguousPath !== 'exact_bytes' &&
          (here.afterPathRule || tried.some((rule) => rule.path !== undefined && place(rule) < place(here))),
        except: earlier.map((rules) => (isOfNames(rules) ? { ...rules, hosts: undefined } : rules)),
      }),
    ];
  });
  // The codec ends the chain, once.
  return chains.flatMap((chain, i) => (i === chains.length - 1 ? chain : chain.slice(0, -1)));
}

/** The host is left to the injector's own rules where it says nothing of its own. */
function isOfNames({ hosts, methods, paths }: RequestRules): boolean {
  return (
    hosts?.every(({ port }) => port === undefined) === true && (methods !== undefined || paths !== undefined)
  );
}

/** Ports are the policy's and not the cluster's: a request to any port may come without one in its host. */
function requestRules(rules: RulesTogether): RequestRules {
  const [{ policy, endpoint, path }] = rules;
  const ports = new Set(rules.map(({ port }) => port));
  return {
    hosts: (ports.has(undefined) ? [undefined] : [...ports]).map((port) => ({ ...endpoint, port })),
    methods: policy.config.match.methods,
    paths: path && [...new Set(rules.flatMap((rule) => rule.path ?? []))],
  };
}

const ANY_PROTOCOL = {
  use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
};

function changesCluster(resilience: IstioHost['resilience']): boolean {
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
