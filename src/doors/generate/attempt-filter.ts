// The attempt door's filter: ext_proc in the upstream chain of a policy's cluster, request headers only, so that bearerd
// is asked once an attempt and a retry carries a new credential.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import { readHeaders } from '../../policy/subject-headers.ts';
import { headersOf, MARK, signedHeaders } from '../attempt/request.ts';
import { CLUSTER, TRANSPORT } from '../attempt/upstream.ts';
import { bearerdTimeout, CHECK_CLUSTER } from './check-filter.ts';
import type { PlannedPolicy } from './plan.ts';

/** Complete `http_filters` of the cluster's HttpProtocolOptions. `local`: its upstream is plain on this machine. */
export function attemptFilters(config: Config, policy: PlannedPolicy, local = false): unknown[] {
  return [
    {
      name: 'envoy.filters.http.ext_proc',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
        grpc_service: {
          envoy_grpc: { cluster_name: CHECK_CLUSTER },
          initial_metadata: because(
            [
              'Which policy this cluster is for: no credential of another one comes here. And where the attempt goes, as Envoy',
              'sees it: none goes out without TLS unless allow_plaintext says so.',
            ].join('\n'),
            [{ key: MARK, value: policy.name }, CLUSTER, ...(local ? [] : TRANSPORT)],
          ),
        },
        failure_mode_allow: because('No call leaves without its credential because bearerd is away.', false),
        message_timeout: because(
          `max_wait is ${config.maxWaitMs} ms and 70 % of this: bearerd is not told it, and has to answer before.`,
          bearerdTimeout(config),
        ),
        processing_mode: because(
          'Request headers and nothing else. With response headers a retry kills Envoy 1.36.2 and 1.36.4.',
          {
            request_header_mode: 'SEND',
            response_header_mode: 'SKIP',
            request_body_mode: 'NONE',
            response_body_mode: 'NONE',
            request_trailer_mode: 'SKIP',
            response_trailer_mode: 'SKIP',
          },
        ),
        forward_rules: because(
          'What policies read, and the header that the credential goes into: it tells which one the last attempt carried.',
          {
            allowed_headers: {
              patterns: headersOf(namesRead(config, policy)).map((exact) => ({ exact })),
            },
          },
        ),
      },
    },
    because('Has to be the last one.', {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    }),
  ];
}

function namesRead({ tracing }: Config, { config: policy }: PlannedPolicy): readonly string[] {
  const injected = policy.inject.headers.map(({ name }) => name);
  const read = readHeaders({ outbound: [policy], tracing });
  return [...new Set([...injected, ...read, ...signedHeaders(policy.proof)])];
}
