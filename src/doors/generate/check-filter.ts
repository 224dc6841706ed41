// The check door's filter, and the marks by which a route asks for it.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import { readHeaders } from '../../policy/subject-headers.ts';
import { DEADLINE_SHARE } from '../deadline.ts';
import type { PlannedPolicy } from './plan.ts';

const FILTER = 'envoy.filters.http.ext_authz';
const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute';

export const CHECK_CLUSTER = 'bearerd_check';

/** How long Envoy has to wait for an answer of bearerd. */
export function bearerdTimeout(config: Config): string {
  return `${Math.ceil(Math.round(config.maxWaitMs / DEADLINE_SHARE) / 100) / 10}s`;
}

export function checkFilter(config: Config): object {
  return {
    name: FILTER,
    disabled:
      config.unmatched === 'deny'
        ? undefined
        : because(
            'Off, and on only where a route says so: a dead bearerd harms no call without a policy.',
            true,
          ),
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
      transport_api_version: 'V3',
      grpc_service: {
        envoy_grpc: { cluster_name: CHECK_CLUSTER },
        timeout: because(
          `max_wait is ${config.maxWaitMs} ms and bearerd answers within 70 % of this, so it never runs out on a living bearerd.`,
          bearerdTimeout(config),
        ),
        retry_policy: because('A Check changes nothing, so one more try bridges a restart.', {
          retry_on: 'unavailable,reset',
          num_retries: 1,
          // Envoy's default waits up to a second before the one retry, which a dead bearerd would add to every 503.
          // Its max_interval is also the time limit of each try (convertCoreToRouteRetryPolicy): 0.1s there ended every
          // Check that waited for a first credential (measured on 1.40).
          retry_back_off: { base_interval: '0.05s', max_interval: bearerdTimeout(config) },
        }),
      },
      failure_mode_allow: because('No call leaves without its credential because bearerd is away.', false),
      status_on_error: because('503 says "try again"; Envoy’s default of 403 says "never".', {
        code: 'ServiceUnavailable',
      }),
      allowed_headers: because(
        'Policies read method, host and path, which come anyway. The request id tells refused attempts apart.\nNo cookie enters bearerd, and no credential but the subject tokens that policies name.',
        { patterns: ['x-request-id', ...readHeaders(config)].map((exact) => ({ exact })) },
      ),
      clear_route_cache: because('The route was chosen by what the app sent and stays.', false),
    },
  };
}

/** For a route, or a host as a whole, whose requests these policies may cover. */
export function checkMark(...policies: readonly PlannedPolicy[]): Record<string, object> {
  return {
    [FILTER]: {
      '@type': PER_ROUTE,
      check_settings: { context_extensions: { policy: policies.map(({ name }) => name).join(',') } },
    },
  };
}

/** For a route that must not ask although the filter is on by default. */
export function checkOff(): Record<string, object> {
  return { [FILTER]: { '@type': PER_ROUTE, disabled: true } };
}
