// The EnvoyFilters of a namespace's outgoing requests. One object a purpose, so that what an upgrade of Istio breaks is
// seen by its name. The surface is small on purpose: EnvoyFilter is the part of Istio that breaks with upgrades.
import { because, plain } from '../../../lib/commented-yaml.ts';
import { outboundBodyLimits } from '../body-limits.ts';
import { managerLogs, router } from '../bootstrap.ts';
import { CHECK_CLUSTER, checkFilter, checkMark } from '../check-filter.ts';
import { bearerdCluster } from '../clusters.ts';
import { unboundFilters } from '../leak-guard.ts';
import { localReplyConfig } from '../local-reply.ts';
import type { Plan, PlannedPolicy } from '../plan.ts';
import { xdsCluster } from '../push-filter.ts';
import { listenerHttp1Options } from '../resilience.ts';
import { retryHints, retryPolicy } from '../retry-policy.ts';
import { type ClusterPatchOptions, clusterPatches, isPatched } from './cluster-patch.ts';
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

export interface EnvoyFilterOptions extends Placed, ClusterPatchOptions {
  readonly plan: Plan;
  /** patch: retries go into Istio's routes; print: the team's own VirtualService states them. */
  readonly retries: 'patch' | 'print';
}

export function envoyFilters(options: EnvoyFilterOptions): readonly object[] {
  const { config, plan } = options;
  const doors = new Set(plan.policies.map(({ door }) => door));
  const check = doors.has('check') || config.unmatched === 'deny';
  const logs = managerLogs(config, plan);
  const hosts = istioHosts(plan);
  const limits = outboundBodyLimits(config);
  const healed = hosts.filter(({ policies }) => policies.some(({ door }) => door !== 'check'));
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
      hosts.filter(isPatched).flatMap((host) => clusterPatches(options, host)),
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

function feedbackPatches(options: EnvoyFilterOptions, doors: ReadonlySet<string>): readonly object[] {
  const which = { push: doors.has('push'), attempt: doors.has('attempt') };
  return [
    atRouter(options, 'MERGE', router(options.config, which)),
    mergeManager(options, { local_reply_config: localReplyConfig(which) }),
  ];
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
