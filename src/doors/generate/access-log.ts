// What Envoy reports of refused attempts, and to whom: bearerd's access log service, one stream a door.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import { TRACE_HEADERS } from '../../lib/trace.ts';
import { RATE_LIMIT_HEADERS } from '../feedback/request-log.ts';
import type { ServingDoor } from './best-door.ts';
import { CHECK_CLUSTER } from './check-filter.ts';
import { xdsCluster } from './push-filter.ts';

/** Names of the streams, by which bearerd tells the doors apart: only a stream's first message carries its name. */
const LOG_NAMES = {
  requests: 'bearerd_requests',
  check: 'bearerd_check',
  push: 'bearerd_push',
  attempt: 'bearerd_attempt',
} as const;

/** By which an upstream demands a proof with its nonce. */
const PROOF_HEADERS = ['www-authenticate', 'dpop-nonce'];

/** Key of the cluster metadata that names the source and the policy of a cluster. */
export const METADATA_KEY = 'bearerd';

/** One access log entry for the router's upstream_log (push: once an attempt) or the listener's access_log (check). */
export function accessLog(config: Config, door: ServingDoor): unknown {
  const proves = config.outbound.some(({ proof }) => proof?.dpop);
  const headers = ['grpc-status', ...config.feedback.responseHeaders, ...(proves ? PROOF_HEADERS : [])];
  return {
    name: 'envoy.access_loggers.http_grpc',
    filter: door === 'attempt' ? failures(proves) : refusals(),
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
      common_config: {
        log_name: LOG_NAMES[door],
        transport_api_version: 'V3',
        grpc_service:
          door === 'attempt'
            ? because('On the connections of the attempts: what became of one is read before the next.', {
                envoy_grpc: { cluster_name: CHECK_CLUSTER },
              })
            : { envoy_grpc: { cluster_name: xdsCluster(0) } },
        buffer_size_bytes: because('At once: a retry is waiting for the new credential.', 0),
        custom_tags: door === 'check' ? undefined : ['source', 'policy', 'door'].map(sourceTag),
      },
      additional_request_headers_to_log: ['x-request-id', ...(config.tracing ? TRACE_HEADERS : [])],
      additional_response_headers_to_log: because(
        'Without grpc-status the refusals of a gRPC upstream look like any HTTP 200.',
        [...new Set(headers)],
      ),
      additional_response_trailers_to_log: ['grpc-status'],
    },
  };
}

/** Of every request once it ended, for metrics. Nobody waits for it. */
export function requestLog({ feedback }: Config): unknown {
  return {
    name: 'envoy.access_loggers.http_grpc',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
      common_config: {
        log_name: LOG_NAMES.requests,
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: xdsCluster(0) } },
        buffer_flush_interval: because('access_log: full. In batches; only metrics are made of it.', '1s'),
        buffer_size_bytes: 64 << 10,
        custom_tags: [sourceTag('door')],
      },
      additional_response_headers_to_log: [
        ...new Set(['grpc-status', ...feedback.responseHeaders, ...RATE_LIMIT_HEADERS]),
      ],
      additional_response_trailers_to_log: ['grpc-status'],
    },
  };
}

function refusals(): unknown {
  return because('Refusals only. A gRPC upstream refuses with HTTP 200 and grpc-status 16.', {
    or_filter: { filters: [status('EQ', 401), { grpc_status_filter: { statuses: ['UNAUTHENTICATED'] } }] },
  });
}

function failures(proves: boolean): unknown {
  return because(
    'Whatever another attempt may follow: one after a refusal and one after a 503 look alike, and it waits to be told.',
    {
      or_filter: {
        filters: [
          status('EQ', 401),
          status('GE', 500),
          { response_flag_filter: {} },
          ...(proves ? [newNonce()] : []),
          {
            grpc_status_filter: {
              statuses: [
                'UNAUTHENTICATED',
                'UNAVAILABLE',
                'RESOURCE_EXHAUSTED',
                'INTERNAL',
                'DEADLINE_EXCEEDED',
                'CANCELED',
              ],
            },
          },
        ],
      },
    },
  );
}

function newNonce(): unknown {
  return because('A nonce for DPoP may come with any answer (RFC 9449, section 8.2).', {
    extension_filter: {
      name: 'envoy.access_loggers.extension_filters.cel',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
        expression: "'dpop-nonce' in response.headers",
      },
    },
  });
}

function status(op: 'EQ' | 'GE', value: number): object {
  const runtime_key = op === 'EQ' ? 'bearerd.refused_status' : 'bearerd.failed_status';
  return { status_code_filter: { comparison: { op, value: { default_value: value, runtime_key } } } };
}

function sourceTag(key: string): object {
  return {
    tag: `bearerd.${key}`,
    metadata: { kind: { cluster: {} }, metadata_key: { key: METADATA_KEY, path: [{ key }] } },
  };
}
