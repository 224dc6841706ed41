// The EnvoyFilters of a namespace's outgoing requests. One object a purpose, so that what an upgrade of Istio breaks is
// seen by its name. The surface is small on purpose: EnvoyFilter is the part of Istio that breaks with upgrades.
import type { Config } from '../../../config/config.ts';
import { because, plain } from '../../../lib/commented-yaml.ts';
import { METADATA_KEY } from '../access-log.ts';
import { attemptFilters } from '../attempt-filter.ts';
import { outboundBodyLimits } from '../body-limits.ts';
import { managerLogs, router } from '../bootstrap.ts';
import { CHECK_CLUSTER, checkFilter, checkMark } from '../check-filter.ts';
import { bearerdCluster } from '../clusters.ts';
import { unboundFilters } from '../leak-guard.ts';
import { localReplyConfig } from '../local-reply.ts';
import { type Plan, type PlannedPolicy, policiesBefore } from '../plan.ts';
import { pushFilters, xdsCluster } from '../push-filter.ts';
import { commonHttpOptions, http1Options, listenerHttp1Options, outlierDetection } from '../resilience.ts';
import { retryHints, retryPolicy } from '../retry-policy.ts';
import { type ClusterOptions, optionsOf } from './cluster-dump.ts';
import { type IstioHost, istioHosts, policyOfRetries } from './istio-hosts.ts';
import {
  addCluster,
  atRouter,
  envoyFilter,
  insertFirst,
  mergeManager,
  type PatchContext,
  type Placed,
} from './patches.ts';

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export interface EnvoyFilterOptions extends Placed {
  readonly config: Config;
  readonly plan: Plan;
  /** patch: retries go into Istio's routes; print: the team's own VirtualService states them. */
  readonly retries: 'patch' | 'print';
  /** What the clusters say of HTTP by now. */
  readonly clusterOptions: ClusterOptions;
}

export function envoyFilters(options: EnvoyFilterOptions): readonly object[] {
  const { config, plan } = options;
  const doors = new Set(plan.policies.map(({ door }) => door));
  const check = doors.has('check') || config.unmatched === 'deny';
  const logs = managerLogs(config, plan);
  const hosts = istioHosts(plan);
  const limits = outboundBodyLimits(config);
  const healed = hosts.filter(({ policies }) => policies.some(({ door }) => door !== 'check'));
  const changed = hosts.filter((host) => healed.includes(host) || changesCluster(host.resilience));
  const retried = hosts.filter((host) => healed.includes(host) || host.resilience?.retries !== undefined);
  return [
    envoyFilter(options, 'bearerd-clusters', [
      // Also where no door uses it now: Istio takes a cluster away before the filter that asks it, and a step of a rollout,
      // from the check door to push, would refuse requests for a moment (seen).
      ...(config.listen.check !== undefined
        ? [addCluster(options, bearerdCluster(CHECK_CLUSTER, config.listen.check.listener))]
        : []),
      ...config.listen.xds.map((x, i) => addCluster(options, bearerdCluster(xdsCluster(i), x.listener))),
    ]),
    ...some(
      'bearerd-body-limits',
      [
        ...limits.hold.map((filter) => insertFirst(options, filter)),
        ...limits.count.map((filter) => atRouter(options, 'INSERT_BEFORE', filter)),
      ],
      -10,
    ),
    ...(check ? [envoyFilter(options, 'bearerd-check', checkPatches(options, hosts))] : []),
    ...(logs === undefined
      ? []
      : [envoyFilter(options, 'bearerd-logs', [mergeManager(options, { access_log: logs })])]),
    ...some(
      'bearerd-upstreams',
      changed.map((host) => clusterPatch(options, host)),
    ),
    ...(healed.length === 0
      ? []
      : [envoyFilter(options, 'bearerd-feedback', feedbackPatches(options, doors))]),
    ...some(
      'bearerd-unbound',
      unboundFilters(config, plan).map((filter) => atRouter(options, 'INSERT_BEFORE', filter)),
    ),
    ...some('bearerd-resilience', resiliencePatches(options)),
    ...(options.retries === 'patch'
      ? some(
          'bearerd-retries',
          virtualHosts(options.context, retried).map((host) => retryPatch(options, host)),
        )
      : []),
  ];

  function some(name: string, patches: readonly object[], priority?: number): object[] {
    return patches.length === 0 ? [] : [envoyFilter(options, name, patches, priority)];
  }
}

/** For the listener of the app: which requests another attempt does no harm to, and names as they were written. */
function resiliencePatches(options: EnvoyFilterOptions): object[] {
  const http_protocol_options = listenerHttp1Options(options.plan);
  return [
    ...retryHints(options.config, options.plan).map((filter) => atRouter(options, 'INSERT_BEFORE', filter)),
    ...(http_protocol_options === undefined ? [] : [mergeManager(options, { http_protocol_options })]),
  ];
}

function checkPatches(options: EnvoyFilterOptions, hosts: readonly IstioHost[]): readonly object[] {
  const { config, context } = options;
  const marked = virtualHosts(
    context,
    hosts.map((host) => ({ ...host, policies: checkedPolicies(host) })),
  ).filter(({ policies }) => policies.length > 0);
  return [
    atRouter(options, 'INSERT_BEFORE', checkFilter(config)),
    ...marked.map((host) => ({
      applyTo: 'VIRTUAL_HOST',
      match: { context, routeConfiguration: { vhost: vhostMatch(host) } },
      patch: {
        operation: 'MERGE',
        value: {
          typed_per_filter_config: because(
            `Only requests to ${host.name} are asked for, and only for these policies.`,
            checkMark(...host.policies),
          ),
        },
      },
    })),
  ];
}

/** Where each attempt is asked for, a denial is found there. */
function checkedPolicies({ policies }: IstioHost): readonly PlannedPolicy[] {
  const attempted = policies.some(({ door }) => door === 'attempt');
  return policies.filter(({ door, config }) => door === 'check' && !(attempted && config.deny));
}

/** The whole options of the protocol: a MERGE of Istio replaces them, and Envoy refuses them without a protocol. */
function clusterPatch({ config, context, clusterOptions }: EnvoyFilterOptions, host: IstioHost): object {
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

function feedbackPatches(options: EnvoyFilterOptions, doors: ReadonlySet<string>): readonly object[] {
  const which = { push: doors.has('push'), attempt: doors.has('attempt') };
  return [
    atRouter(options, 'MERGE', router(options.config, which)),
    mergeManager(options, { local_reply_config: localReplyConfig(which) }),
  ];
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

function changesCluster(resilience: IstioHost['resilience']): boolean {
  return (
    resilience?.outlierDetection !== undefined ||
    resilience?.headerCase !== undefined ||
    commonHttpOptions(resilience) !== undefined
  );
}

function retryPatch({ context }: EnvoyFilterOptions, host: IstioHost): object {
  const policy = policyOfRetries(host);
  return {
    applyTo: 'HTTP_ROUTE',
    match: { context, routeConfiguration: { vhost: vhostMatch(host) } },
    patch: { operation: 'MERGE', value: { route: { retry_policy: plain(retryPolicy(policy)) } } },
  };
}

/** A gateway calls a virtual host by its own port and takes requests for it whatever their port: all ports are one there. */
function virtualHosts(context: PatchContext, hosts: readonly IstioHost[]): readonly IstioHost[] {
  if (context !== 'GATEWAY') return hosts;
  return [...Map.groupBy(hosts, ({ name }) => name).values()].map((same) => ({
    ...same[0]!,
    port: undefined,
    policies: [...new Set(same.flatMap(({ policies }) => policies))],
  }));
}

function vhostMatch({ name, port }: IstioHost): object {
  return port === undefined ? { domainName: name } : { name: `${name}:${port}` };
}
