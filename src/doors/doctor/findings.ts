// What is wrong between a running Envoy and a configuration of bearerd, each with its way out. Pure.
import type { Config, OutboundConfig } from '../../config/config.ts';
import { DEADLINE_SHARE } from '../deadline.ts';
import { type Json, json, list, objectsIn } from '../envoy-json.ts';
import { isWatching } from '../generate/plan.ts';
import { bodyLimits } from './body-limits.ts';
import { durationMs, type EnvoyState, ofType } from './envoy-state.ts';
import { plaintext } from './plaintext.ts';
import { statistics } from './statistics.ts';

export interface Finding {
  /** error: requests fail or a credential is in danger. warning: something is lost when it matters. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
  readonly fix: string;
}

const GENERATE = 'apply what "bearerd generate" writes for this configuration';
const ENOUGH_RETRIES = 100;

export function findings(config: Config, state: EnvoyState): readonly Finding[] {
  const policies = config.outbound.filter((one) => one.rollout.mode !== 'off' && !isWatching(one));
  const found = [
    ...versions(state),
    ...connections(state),
    ...policies.flatMap((policy) => served(policy, state)),
    ...checkFilter(config, state),
    ...processors(config, state),
    ...injectors(config, state),
    ...rewrites(state),
    ...credentialsInLogs(state),
    ...plaintext(config, state),
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

/** Its secret comes from bearerd. */
function isOurs(credential: Json): boolean {
  return objectsIn(credential).some(({ object }) => String(object['cluster_name']).startsWith('bearerd_xds'));
}

function checkFilter({ maxWaitMs, unmatched }: Config, state: EnvoyState): Finding[] {
  return ofType(state, 'ext_authz.v3.ExtAuthz').flatMap(({ object, above }): Finding[] => {
    const grpc = json(object['grpc_service']);
    if (json(grpc['envoy_grpc'])['cluster_name'] !== 'bearerd_check') return [];
    const found: Finding[] = [];
    const timeout = durationMs(grpc['timeout']) ?? 200;
    if (timeout * DEADLINE_SHARE < maxWaitMs - 50) {
      found.push({
        severity: 'warning',
        what: `Envoy gives a Check ${timeout} ms, so bearerd waits ${Math.round(timeout * DEADLINE_SHARE)} ms for a first credential and not max_wait, ${maxWaitMs} ms`,
        fix: `grpc_service.timeout: ${Math.ceil(maxWaitMs / DEADLINE_SHARE / 100) / 10}s, or a smaller max_wait`,
      });
    }
    if (object['failure_mode_allow'] === true) {
      found.push({
        severity: 'error',
        what: 'failure_mode_allow is on: while bearerd is away requests leave without a credential',
        fix: 'failure_mode_allow: false, status_on_error: 503',
      });
    }
    const filter = above.findLast((a) => typeof a['name'] === 'string' && 'typed_config' in a);
    if (unmatched === 'pass' && filter?.['disabled'] !== true) {
      found.push({
        severity: 'warning',
        what: 'the check filter is on for every route: a dead bearerd ends requests that no policy covers',
        fix: 'disabled: true on the filter; the routes of the policies switch it on',
      });
    }
    if (object['clear_route_cache'] === true) {
      found.push({
        severity: 'warning',
        what: 'clear_route_cache is on: a request may be routed past its check',
        fix: 'clear_route_cache: false',
      });
    }
    return found;
  });
}

function processors({ maxWaitMs }: Config, state: EnvoyState): Finding[] {
  return ofType(state, 'ext_proc.v3.ExternalProcessor').flatMap(({ object }): Finding[] => {
    if (json(json(object['grpc_service'])['envoy_grpc'])['cluster_name'] !== 'bearerd_check') return [];
    const found: Finding[] = [];
    if (object['failure_mode_allow'] === true) {
      found.push({
        severity: 'error',
        what: 'failure_mode_allow of ext_proc is on: while bearerd is away requests leave without a credential',
        fix: 'failure_mode_allow: false',
      });
    }
    if (json(object['processing_mode'])['response_header_mode'] === 'SEND') {
      found.push({
        severity: 'error',
        what: 'ext_proc sees response headers: a retry ends the whole process of Envoy 1.36.2 to 1.36.4',
        fix: 'response_header_mode: SKIP',
      });
    }
    const timeout = durationMs(object['message_timeout']) ?? 200;
    if (timeout < maxWaitMs) {
      found.push({
        severity: 'error',
        what: `message_timeout is ${timeout} ms and max_wait ${maxWaitMs} ms: Envoy gives up before bearerd answers`,
        fix: `message_timeout: ${Math.ceil(maxWaitMs / DEADLINE_SHARE / 100) / 10}s`,
      });
    }
    return found;
  });
}

/** Clusters in whose upstream chain a credential is put on. */
function injectors({ outbound }: Config, state: EnvoyState): Finding[] {
  const found: Finding[] = [];
  let healed = false;
  for (const { object, above } of ofType(state, 'credential_injector.v3.CredentialInjector')) {
    const credential = json(json(json(object['credential'])['typed_config'])['credential']);
    const secret = String(credential['name'] ?? '');
    const cluster = above.findLast(
      (a) => typeof a['name'] === 'string' && 'typed_extension_protocol_options' in a,
    );
    if (cluster === undefined) continue;
    const name = String(cluster['name']);
    if (object['overwrite'] !== true) {
      found.push({
        severity: 'error',
        what: `cluster ${name}: overwrite is off, so the app's own header wins`,
        fix: 'overwrite: true',
      });
    }
    if (state.secrets.get(secret) !== 'active') {
      found.push({
        severity: 'error',
        what: `cluster ${name}: the secret ${secret} has not come: its requests end with 503`,
        fix: 'is bearerd running, and does a policy of its configuration name this secret?',
      });
    }
    const { policy } = json(json(json(cluster['metadata'])['filter_metadata'])['bearerd']);
    // Nothing of it is renewed before time.
    if (outbound.find((one) => one.name === policy)?.healOn === 'off') continue;
    healed = true;
    const retries = json(list(json(cluster['circuit_breakers'])['thresholds'])[0])['max_retries'];
    if (typeof retries !== 'number' || retries < ENOUGH_RETRIES) {
      found.push({
        severity: 'warning',
        what: `cluster ${name}: max_retries is ${retries ?? 3}, so the app sees most refusals of a revoked credential`,
        fix: 'circuit_breakers.thresholds: [{ max_retries: 4096 }]',
      });
    }
    const retried = state.objects.some(
      ({ object: route }) =>
        json(route['route'])['cluster'] === name &&
        (list(json(json(route['route'])['retry_policy'])['retriable_status_codes']).includes(401) ||
          list(json(json(route['route'])['retry_policy'])['retriable_headers']).length > 0),
    );
    if (!retried) {
      found.push({
        severity: 'warning',
        what: `cluster ${name}: no route to it retries a 401, so a refused request is not healed; the next one is`,
        fix: 'the retry_policy that "bearerd generate" writes, or retries of your VirtualService (--retries print)',
      });
    }
  }
  if (healed) {
    const reported = ofType(state, 'router.v3.Router').some(
      ({ object }) => list(object['upstream_log']).length > 0,
    );
    if (!reported) {
      found.push({
        severity: 'warning',
        what: 'no upstream_log tells bearerd of refusals: a revoked credential goes on until its next renewal',
        fix: GENERATE,
      });
    }
  }
  return found;
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

/** Upstream filters change the one header map of a request, so the log of the listener sees what they put there. */
function credentialsInLogs(state: EnvoyState): Finding[] {
  const found = new Set<string>();
  for (const { object } of state.objects) {
    for (const value of Object.values(object)) {
      if (typeof value === 'string' && /%REQ\(:?(authorization|x-api-key|cookie)\b/i.test(value))
        found.add(value);
    }
  }
  const logs = [...found].map(
    (format): Finding => ({
      severity: 'error',
      what: `an access log prints a header with a credential: ${format.slice(0, 80)}`,
      fix: 'take it out of the format: it shows what the upstream filters put there',
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
