// Virtual hosts and routes: one route per rule, so that each route's mark, cluster and retry policy are its policy's own.
// No route rewrites host or path, since policies mean the request as the app sent it.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import { attemptFilters } from './attempt-filter.ts';
import { checkMark, checkOff } from './check-filter.ts';
import type { UpstreamCluster } from './clusters.ts';
import { AMBIGUOUS_PATH, anyAuthority, methodMatch, pathMatch } from './expressions.ts';
import { type Plan, type PlannedEndpoint, type PlannedHost, type PlannedRule, rulesBehind } from './plan.ts';
import { pushFilters } from './push-filter.ts';
import { retryPolicy } from './retry-policy.ts';
import { isLocal, type Upstreams } from './upstreams.ts';

export const PASSTHROUGH_CLUSTER = 'passthrough';
export interface Routing {
  readonly virtualHosts: unknown[];
  readonly clusters: readonly UpstreamCluster[];
}

interface Context {
  readonly config: Config;
  readonly upstreams: Upstreams;
  readonly clusters: Map<string, UpstreamCluster>;
  /** The check filter is there at all. */
  readonly checkFilter: boolean;
}

export function buildRouting(config: Config, plan: Plan, upstreams: Upstreams): Routing {
  const context: Context = {
    config,
    upstreams,
    clusters: new Map(),
    checkFilter: plan.policies.some((p) => p.door === 'check') || config.unmatched === 'deny',
  };
  const virtualHosts = plan.hosts.map((host) => virtualHost(context, host));
  return { virtualHosts: [...virtualHosts, anyOtherHost(config)], clusters: [...context.clusters.values()] };
}

function virtualHost(context: Context, host: PlannedHost): object {
  const { config } = context;
  const domains = host.names.map((name) => (host.wildcard ? `*.${name}` : name));
  const routes: unknown[] = [];
  const unguarded = new Set(config.ambiguousPath === 'exact_bytes' ? [] : host.endpoints);
  for (const rule of host.rules) {
    if (rule.afterPathRule && unguarded.delete(rule.endpoint)) {
      routes.push(ambiguousRoute(context, rule.endpoint));
    }
    routes.push(policyRoute(context, rule, host));
  }
  routes.push(...restRoutes(context, host));
  return {
    name: host.name,
    // A trailing dot names the same host.
    domains: [...domains, ...domains.map((domain) => `${domain}.`)],
    include_request_attempt_count: host.rules.some(({ policy }) => policy.door === 'attempt')
      ? because('bearerd has to know a second attempt from a first one.', true)
      : undefined,
    routes,
  };
}

function policyRoute(context: Context, rule: PlannedRule, host: PlannedHost): unknown {
  const { policy, endpoint, path } = rule;
  // What a denial hides goes its own way from here, so that bearerd alone puts a denial in force and takes it back.
  const behind = rulesBehind(host.rules, rule);
  const server = behind[0] ?? rule;
  const cluster =
    server.policy.door === 'check' ? plainCluster(context, endpoint) : policyCluster(context, server);
  const asked = behind.map((one) => one.policy).filter(({ door }) => door === 'check');
  const enabled =
    policy.door === 'check'
      ? checkMark(policy, ...asked)
      : context.config.unmatched === 'deny'
        ? checkOff()
        : undefined;
  return {
    name: policy.name,
    match: {
      ...pathMatch(path),
      headers: headerMatchers(endpoint, policy.config.match.methods),
    },
    route: { cluster, retry_policy: retryPolicy(server.policy) },
    typed_per_filter_config: enabled,
  };
}

/** A path that two parsers may read differently matches no path rule and no later rule of its host and port. */
function ambiguousRoute(context: Context, endpoint: PlannedEndpoint): unknown {
  const match = { safe_regex: { regex: AMBIGUOUS_PATH }, headers: headerMatchers(endpoint, undefined) };
  return because(
    'Two parsers may read such a path differently, so no rule about paths may decide on it.',
    context.config.ambiguousPath === 'deny'
      ? { match, direct_response: { status: 400, body: { inline_string: 'ambiguous path\n' } } }
      : restRoute(context, endpoint, match),
  );
}

/** Requests to a host of ours that no policy covers. */
function restRoutes(context: Context, host: PlannedHost): unknown[] {
  const path = { prefix: '/' };
  if (context.config.unmatched === 'deny') return [denied(path)];
  const routes = host.endpoints
    .filter((endpoint) => !isWhollyCovered(host, endpoint))
    .map((endpoint) =>
      restRoute(context, endpoint, { ...path, headers: headerMatchers(endpoint, undefined) }),
    );
  const complete = host.endpoints.some((endpoint) => endpoint.port === undefined);
  return complete ? routes : [...routes, { match: path, route: { cluster: PASSTHROUGH_CLUSTER } }];
}

function restRoute(context: Context, endpoint: PlannedEndpoint, match: object): object {
  if (context.config.unmatched === 'deny') return denied(match);
  return {
    match,
    route: { cluster: plainCluster(context, endpoint), retry_policy: retryPolicy(undefined) },
  };
}

/** Nothing is left for a route behind a rule without path and method. */
function isWhollyCovered(host: PlannedHost, endpoint: PlannedEndpoint): boolean {
  return host.rules.some(
    (rule) =>
      rule.endpoint === endpoint && rule.path === undefined && rule.policy.config.match.methods === undefined,
  );
}

function anyOtherHost(config: Config): unknown {
  const rest = { prefix: '/' };
  const route =
    config.unmatched === 'deny' ? denied(rest) : { match: rest, route: { cluster: PASSTHROUGH_CLUSTER } };
  return because('No policy: never a mark, never an injector.', {
    name: 'any_other',
    domains: ['*'],
    routes: [route],
  });
}

/** bearerd denies it before, and counts it; this answer is what is left if it were asked to let it pass. */
function denied(match: object): object {
  return { match, direct_response: { status: 403, body: { inline_string: 'no policy\n' } } };
}

function headerMatchers(
  endpoint: PlannedEndpoint,
  methods: readonly string[] | undefined,
): unknown[] | undefined {
  const matchers: unknown[] = [];
  if (endpoint.port !== undefined) {
    matchers.push({ name: ':authority', string_match: anyAuthority(endpoint.port) });
  }
  if (methods !== undefined) {
    matchers.push({ name: ':method', string_match: methodMatch(methods) });
  }
  return matchers.length === 0 ? undefined : matchers;
}

function plainCluster(context: Context, endpoint: PlannedEndpoint): string {
  return add(context, {
    name: clusterName('plain', endpoint),
    endpoint,
    httpFilters: undefined,
    policy: undefined,
  });
}

function policyCluster(context: Context, rule: PlannedRule): string {
  const { policy, endpoint } = rule;
  const rules = {
    hosts: [endpoint],
    methods: policy.config.match.methods,
    paths: policy.config.match.paths,
    refuseAmbiguousPath: rule.afterPathRule && context.config.ambiguousPath !== 'exact_bytes',
    // Routes before this one took what is others'.
    except: [],
  };
  return add(context, {
    name: clusterName(policy.name, endpoint),
    endpoint,
    httpFilters:
      policy.door === 'push'
        ? pushFilters(context.config, policy, rules)
        : attemptFilters(context.config, policy, isLocal(context.upstreams, endpoint)),
    policy,
  });
}

function add(context: Context, cluster: UpstreamCluster): string {
  if (!context.clusters.has(cluster.name)) context.clusters.set(cluster.name, cluster);
  return cluster.name;
}

export function clusterName(owner: string, endpoint: PlannedEndpoint): string {
  const host = endpoint.host.replace('*', 'any');
  return `${owner}.${host}${endpoint.port === undefined ? '' : `.${endpoint.port}`}`;
}
