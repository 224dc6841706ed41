// What Envoy reports of refused attempts, and to whom: bearerd's access log service, one stream a door.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import type { ServingDoor } from './plan.ts';
import { xdsCluster } from './push-filter.ts';

/** Names of the streams, by which bearerd tells the doors apart: only a stream's first message carries its name. */
export const LOG_NAMES = { check: 'bearerd_check', push: 'bearerd_push' } as const;

/** Key of the cluster metadata that names the source and the policy of a cluster. */
export const METADATA_KEY = 'bearerd';

/** One access log entry for the router's upstream_log (push: once an attempt) or the listener's access_log (check). */
export function accessLog(config: Config, door: ServingDoor): unknown {
  return {
    name: 'envoy.access_loggers.http_grpc',
    filter: because('Refusals only. A gRPC upstream refuses with HTTP 200 and grpc-status 16.', {
      or_filter: {
        filters: [
          {
            status_code_filter: {
              comparison: { op: 'EQ', value: { default_value: 401, runtime_key: 'bearerd.refused_status' } },
            },
          },
          { grpc_status_filter: { statuses: ['UNAUTHENTICATED'] } },
        ],
      },
    }),
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig',
      common_config: {
        log_name: LOG_NAMES[door],
        transport_api_version: 'V3',
        grpc_service: { envoy_grpc: { cluster_name: xdsCluster(0) } },
        buffer_size_bytes: because('At once: a retry is waiting for the new credential.', 0),
        custom_tags: door === 'push' ? [sourceTag('source'), sourceTag('policy')] : undefined,
      },
      additional_request_headers_to_log: ['x-request-id'],
      additional_response_headers_to_log: because(
        'Without grpc-status the refusals of a gRPC upstream look like any HTTP 200.',
        ['grpc-status', ...config.feedback.responseHeaders],
      ),
      additional_response_trailers_to_log: ['grpc-status'],
    },
  };
}

function sourceTag(key: string): object {
  return {
    tag: `bearerd.${key}`,
    metadata: { kind: { cluster: {} }, metadata_key: { key: METADATA_KEY, path: [{ key }] } },
  };
}
