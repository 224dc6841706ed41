// The EnvoyFilters of a namespace's outgoing requests. One object a purpose, so that what an upgrade of Istio breaks is
// seen by its name. The surface is small on purpose: EnvoyFilter is the part of Istio that breaks with upgrades.
import type { Config } from '../../../config/config.ts';
import { because, plain } from '../../../lib/commented-yaml.ts';
import { METADATA_KEY } from '../access-log.ts';
import { attemptFilters } from '../attempt-filter.ts';
import { managerLogs, router } from '../bootstrap.ts';
import { CHECK_CLUSTER, checkFilter, checkMark } from '../check-filter.ts';
import { bearerdCluster } from '../clusters.ts';
import { localReplyConfig } from '../local-reply.ts';
import type { Plan } from '../plan.ts';
import { pushFilters, xdsCluster } from '../push-filter.ts';
import { MAX_RETRIES, retryPolicy } from '../retry-policy.ts';
import { type ClusterOptions, optionsOf } from './cluster-dump.ts';
import { type IstioHost, istioHosts } from './istio-hosts.ts';
import { addCluster, atRouter, envoyFilter, mergeManager, type Placed } from './patches.ts';

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
  const logs = managerLogs(config, check);
  const hosts = istioHosts(plan);
  const changed = hosts.filter(({ policies }) => policies.some(({ door }) => door !== 'check'));
  return [
    envoyFilter(options, 'bearerd-clusters', [
      ...(check || doors.has('attempt')
        ? [addCluster(options, bearerdCluster(CHECK_CLUSTER, config.listen.check!.listener))]
        : []),
      ...config.listen.xds.map((x, i) => addCluster(options, bearerdCluster(xdsCluster(i), x.listener))),
    ]),
    ...(check ? [envoyFilter(options, 'bearerd-check', checkPatches(options, hosts))] : []),
    ...(logs === undefined
      ? []
      : [envoyFilter(options, 'bearerd-logs', [mergeManager(options, { access_log: logs })])]),
    ...(changed.length === 0
      ? []
      : [
          envoyFilter(
            options,
            'bearerd-upstreams',
            changed.map((host) => clusterPatch(options, host)),
          ),
          envoyFilter(options, 'bearerd-feedback', feedbackPatches(options, doors)),
          ...(options.retries === 'patch'
            ? [
                envoyFilter(
                  options,
                  'bearerd-retries',
                  changed.map((host) => retryPatch(options, host)),
                ),
              ]
            : []),
        ]),
  ];
}

function checkPatches(options: EnvoyFilterOptions, hosts: readonly IstioHost[]): readonly object[] {
  const { config, context } = options;
  const marked = hosts.filter(({ policies }) => policies.some(({ door }) => door === 'check'));
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
            checkMark(...host.policies.filter(({ door }) => door === 'check')),
          ),
        },
      },
    })),
  ];
}

/** The whole options of the protocol: a MERGE of Istio replaces them, and Envoy refuses them without a protocol. */
function clusterPatch({ config, context, clusterOptions }: EnvoyFilterOptions, host: IstioHost): object {
  const policies = host.policies.filter(({ door }) => door !== 'check');
  const [first] = policies;
  const own = optionsOf(clusterOptions, host.name, host.port);
  const rulesOf = (name: string) => host.rules.find(({ policy }) => policy.name === name)!;
  const filters =
    first!.door === 'attempt'
      ? attemptFilters(config, first!)
      : policies.flatMap((policy, i) => {
          const rule = rulesOf(policy.name);
          const chain = pushFilters(config, policy, {
            endpoint: rule.endpoint,
            methods: policy.config.match.methods,
            paths: policy.config.match.paths,
            refuseAmbiguousPath: rule.afterPathRule && config.ambiguousPath !== 'exact_bytes',
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
        metadata: {
          filter_metadata: because('Comes back with each attempt, so that bearerd knows whose it is.', {
            [METADATA_KEY]: { source: first!.source, policy: first!.name, door: first!.door },
          }),
        },
        circuit_breakers: because('Istio’s own default already; a DestinationRule may have lowered it.', {
          thresholds: [{ max_retries: MAX_RETRIES }],
        }),
        typed_extension_protocol_options: because(
          own === undefined
            ? 'Istio replaces these options as a whole: what a DestinationRule says of HTTP (h2UpgradePolicy, idleTimeout,\nmaxRequestsPerConnection) has to stand here too: --from-cluster copies it.'
            : 'Istio replaces these options as a whole, so they hold what the cluster had.',
          {
            [HTTP_OPTIONS]: {
              '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
              ...(own ?? {
                use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} },
              }),
              http_filters: filters,
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

function retryPatch({ context }: EnvoyFilterOptions, host: IstioHost): object {
  const policy = host.policies.find(({ door }) => door !== 'check')!;
  return {
    applyTo: 'HTTP_ROUTE',
    match: { context, routeConfiguration: { vhost: vhostMatch(host) } },
    patch: { operation: 'MERGE', value: { route: { retry_policy: plain(retryPolicy(policy)) } } },
  };
}

function vhostMatch({ name, port }: IstioHost): object {
  return port === undefined ? { domainName: name } : { name: `${name}:${port}` };
}
