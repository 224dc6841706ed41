// What Envoy does about an upstream that fails, where a host's policies ask for it. Nothing of it concerns credentials, and
// what it retries stands in the one retry table (retry-policy.ts).
import type { ResilienceConfig } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import type { Plan, PlannedPolicy } from './plan.ts';
import { MAX_RETRIES } from './retry-policy.ts';

/** A cluster and a retry belong to a host, whatever its paths. */
export function resilienceRefusals({ hosts }: Plan): readonly string[] {
  return hosts.flatMap(({ name, rules }) => {
    const all = new Set(rules.map(({ policy }) => policy));
    const policies = [...all].filter(({ config }) => config.deny === undefined);
    if (new Set(policies.map(({ config }) => JSON.stringify(config.resilience))).size <= 1) return [];
    return [
      `host ${name}: ${policies.map((policy) => policy.name).join(', ')} differ in resilience, which belongs to the host; state the same in each`,
    ];
  });
}

/** Of a cluster: everything but its HTTP options. */
export function clusterResilience(
  resilience: ResilienceConfig | undefined,
  policy: PlannedPolicy | undefined,
): { readonly circuit_breakers: unknown; readonly outlier_detection: unknown } {
  const { max, maxPending, maxRequests } = resilience?.connections ?? {};
  const thresholds = {
    max_connections: max,
    max_pending_requests: maxPending,
    max_requests: maxRequests,
    max_retries: policy !== undefined || resilience?.retries !== undefined ? MAX_RETRIES : undefined,
  };
  const isSet = Object.values(thresholds).some((value) => value !== undefined);
  return {
    circuit_breakers: isSet
      ? because('Envoy’s default of 3 concurrent retries would let the app see refusals that heal.', {
          thresholds: [thresholds],
        })
      : undefined,
    outlier_detection: outlierDetection(resilience),
  };
}

export function outlierDetection(resilience: ResilienceConfig | undefined): unknown {
  const { outlierDetection: outliers } = resilience ?? {};
  return (
    outliers && {
      consecutive_5xx: outliers.consecutiveErrors,
      base_ejection_time: duration(outliers.ejectionTimeMs),
      max_ejection_percent: outliers.maxEjectedPercent,
    }
  );
}

/** Of HttpProtocolOptions, beside the protocol; undefined members where nothing is asked for. */
export function commonHttpOptions(resilience: ResilienceConfig | undefined): object | undefined {
  const { requestsPerConnection, idleTimeoutMs } = resilience?.connections ?? {};
  if (requestsPerConnection === undefined && idleTimeoutMs === undefined) return undefined;
  return {
    idle_timeout: idleTimeoutMs === undefined ? undefined : duration(idleTimeoutMs),
    max_requests_per_connection: requestsPerConnection,
  };
}

/** HTTP/1 options of the upstream's side. */
export function http1Options(resilience: ResilienceConfig | undefined): object {
  switch (resilience?.headerCase) {
    case undefined:
      return {};
    case 'title':
      return { header_key_format: { proper_case_words: {} } };
    case 'preserve':
      return PRESERVE_CASE;
  }
}

/** HTTP/1 options of the app's side: names are kept only where they were read. */
export function listenerHttp1Options(plan: Plan): object | undefined {
  return plan.hosts.some(({ endpoints }) => endpoints[0]!.resilience?.headerCase === 'preserve')
    ? PRESERVE_CASE
    : undefined;
}

const PRESERVE_CASE = {
  header_key_format: {
    stateful_formatter: {
      name: 'preserve_case',
      typed_config: {
        '@type':
          'type.googleapis.com/envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig',
        formatter_type_on_envoy_headers: because('What is added on the way has no case yet.', 'PROPER_CASE'),
      },
    },
  },
};

function duration(ms: number): string {
  return `${ms / 1_000}s`;
}
