// What is wrong with the filters by which a running Envoy asks bearerd: ext_authz, ext_proc and the injectors of push. Pure.
import type { Config } from '../../config/config.ts';
import { DEADLINE_SHARE } from '../deadline.ts';
import { json, list } from '../envoy-json.ts';
import {
  askedCluster,
  durationMs,
  type EnvoyState,
  isOurs,
  metadataOfCluster,
  ofType,
} from './envoy-state.ts';
import { type Finding, GENERATE } from './finding.ts';

const ENOUGH_RETRIES = 100;

export function filters(config: Config, state: EnvoyState): Finding[] {
  return [...checkFilter(config, state), ...processors(config, state), ...injectors(config, state)];
}

function checkFilter({ maxWaitMs, unmatched }: Config, state: EnvoyState): Finding[] {
  return ofType(state, 'ext_authz.v3.ExtAuthz').flatMap(({ object, above }): Finding[] => {
    if (askedCluster(object) !== 'bearerd_check') return [];
    const found: Finding[] = [];
    const timeout = durationMs(json(object['grpc_service'])['timeout']) ?? 200;
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
    if (askedCluster(object) !== 'bearerd_check') return [];
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
    // One of another's, as before a migration, is none of ours to judge.
    if (cluster === undefined || !isOurs(object)) continue;
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
    const { policy } = metadataOfCluster(cluster);
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
