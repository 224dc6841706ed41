// What is wrong between a running Envoy and a configuration of bearerd, each with its way out. Pure.
import type { Config, OutboundConfig } from '../../config/config.ts';
import { json, list } from '../envoy-json.ts';
import { isWatching } from '../generate/plan.ts';
import { bodyLimits } from './body-limits.ts';
import { type EnvoyState, isOurs, ofType } from './envoy-state.ts';
import { filters } from './filters.ts';
import { type Finding, GENERATE } from './finding.ts';
import { rollouts } from './rollouts.ts';
import { statistics } from './statistics.ts';
import { upstreams } from './upstreams.ts';

export function findings(config: Config, state: EnvoyState): readonly Finding[] {
  const policies = config.outbound.filter((one) => one.rollout.mode !== 'off' && !isWatching(one));
  const found = [
    ...versions(state),
    ...connections(state),
    ...policies.flatMap((policy) => served(policy, state)),
    ...rollouts(config, state),
    ...filters(config, state),
    ...rewrites(state),
    ...credentialsInLogs(config, state),
    ...upstreams(config, state),
    ...statistics(config, state),
    ...bodyLimits(config, state),
  ];
  // A dump has a static cluster twice: in the bootstrap, and among the clusters.
  return [...new Map(found.map((one) => [one.what, one])).values()];
}

function versions({ version }: EnvoyState): Finding[] {
  if (version === undefined) return [];
  const [major, minor] = version.split('.').map(Number) as [number, number];
  if (major > 1 || minor >= 36) return [];
  return [
    {
      severity: 'error',
      what: `Envoy ${version}: bearerd is tested with 1.36.2 to 1.40`,
      fix: 'take a newer Envoy or Istio',
    },
  ];
}

function connections(state: EnvoyState): Finding[] {
  return ['bearerd_check', 'bearerd_xds'].flatMap((cluster): Finding[] => {
    const total = state.stats.get(`cluster.${cluster}.upstream_cx_total`);
    const failed = state.stats.get(`cluster.${cluster}.upstream_cx_connect_fail`) ?? 0;
    const active = state.stats.get(`cluster.${cluster}.upstream_cx_active`) ?? 0;
    if (total === undefined || active > 0 || failed === 0) return [];
    return [
      {
        severity: 'error',
        what: `Envoy cannot connect to bearerd: cluster ${cluster} failed ${failed} times and has no connection`,
        fix: 'is bearerd running, is the socket mounted into the container of Envoy, and may its group open it (listen.*.group, mode)?',
      },
    ];
  });
}

/** One of the doors has to know the policy. */
function served(policy: OutboundConfig, state: EnvoyState): Finding[] {
  const marks = ofType(state, 'ext_authz.v3.ExtAuthzPerRoute').flatMap(({ object }) =>
    String(json(json(object['check_settings'])['context_extensions'])['policy'] ?? '').split(','),
  );
  const clusters = state.objects.map(({ object }) => json(json(object['filter_metadata'])['bearerd']));
  const metadata = clusters.map((one) => one['policy']);
  // A dump hides context_extensions: then every mark reads "[redacted]".
  if (marks.includes(policy.name) || marks.includes('[redacted]') || metadata.includes(policy.name))
    return [];
  const injected = ofType(state, 'generic.v3.Generic').some(
    ({ object }) =>
      isOurs(object) &&
      policy.inject.headers.some(
        ({ name }) =>
          String(object['header'] ?? 'authorization').toLowerCase() === name &&
          String(json(object['credential'])['name'] ?? '').startsWith(policy.inject.source),
      ),
  );
  // A denial is served wherever an attempt at its host is asked for.
  if (injected || (policy.deny && clusters.some((one) => one['door'] === 'attempt'))) return [];
  return [
    {
      severity: 'error',
      what: `no route or cluster of Envoy is made for the policy ${policy.name}: its requests ${policy.deny ? 'are not refused' : 'leave without a credential'}`,
      fix: GENERATE,
    },
  ];
}

/** Policies mean the request as the app sent it, and push and attempt look at it after the route's rewrite. */
function rewrites(state: EnvoyState): Finding[] {
  const KEYS = [
    'prefix_rewrite',
    'regex_rewrite',
    'host_rewrite_literal',
    'host_rewrite_path_regex',
    'host_rewrite_header',
  ];
  const ours = new Set(
    state.objects
      .filter(({ object }) => 'bearerd' in json(json(object['metadata'])['filter_metadata']))
      .map(({ object }) => String(object['name'])),
  );
  return state.objects.flatMap(({ object }): Finding[] => {
    const route = json(object['route']);
    const cluster = String(route['cluster'] ?? '');
    const key = KEYS.find((name) => name in route);
    if (key === undefined || !ours.has(cluster)) return [];
    return [
      {
        severity: 'error',
        what: `a route to ${cluster} has ${key}: host and path rules see the rewritten request, not the app's`,
        fix: 'no rewrite on routes of a policy, or a policy without path rules',
      },
    ];
  });
}

/** REQUEST_HEADER since 1.37; the second name is taken where the first is not there. */
const FROM_REQUEST = /%REQ(?:UEST_HEADER)?\(([^)]*)\)/gi;

/** Upstream filters change the one header map of a request, so the log of the listener sees what they put there. */
function credentialsInLogs({ outbound }: Config, state: EnvoyState): Finding[] {
  const injected = outbound.flatMap(({ inject }) => inject.headers.map(({ name }) => name));
  const secret = new Set(['authorization', 'proxy-authorization', 'cookie', 'x-api-key', ...injected]);
  const isSecret = (header: unknown) => secret.has(String(header).trim().toLowerCase());
  const prints = (format: unknown) =>
    typeof format === 'string' &&
    [...format.matchAll(FROM_REQUEST)].some(([, names]) => names!.split('?').some(isSecret));
  const found = new Set<string>();
  for (const { object } of state.objects) {
    for (const value of Object.values(object).flat()) if (prints(value)) found.add(value as string);
    const reported = list(object['additional_request_headers_to_log']).filter(isSecret);
    const { name } = json(object['request_header']);
    for (const header of 'tag' in object && isSecret(name) ? [...reported, name] : reported)
      found.add(String(header));
  }
  const logs = [...found].map(
    (format): Finding => ({
      severity: 'error',
      what: `an access log or trace prints a header with a credential: ${format.slice(0, 80)}`,
      fix: 'take it out: it shows what the upstream filters put there',
    }),
  );
  const taps = ofType(state, 'tap.v3.Tap').length;
  if (taps === 0) return logs;
  return [
    ...logs,
    {
      severity: 'error',
      what: `${taps} tap filters copy whole requests`,
      fix: 'remove envoy.filters.http.tap',
    },
  ];
}
