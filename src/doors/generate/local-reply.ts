// Envoy's own answers when there is no credential. The injector's is 401 by itself, which would read as the upstream's
// refusal; that of ext_proc without bearerd is 500 or 504, which says nothing of trying again.
import { because } from '../../lib/commented-yaml.ts';

/** The injector's response code details. Nothing else is matched, so that no other local reply is touched. */
const NO_CREDENTIAL = 'failed_to_inject_credential';

/** Of ext_proc, with what the gRPC call ended with behind it. Its immediate responses say `bearerd_…`. */
const PROCESSOR_ERROR = 'ext_proc_error';

export function localReplyConfig({ push, attempt }: { push: boolean; attempt: boolean }): object {
  return {
    mappers: [
      ...(push ? [unavailable(`response.code_details == '${NO_CREDENTIAL}'`, 'no_credential')] : []),
      ...(attempt
        ? [unavailable(`response.code_details.startsWith('${PROCESSOR_ERROR}')`, 'bearerd_unavailable')]
        : []),
    ],
  };
}

function unavailable(expression: string, reason: string): object {
  return {
    filter: {
      extension_filter: {
        name: 'envoy.access_loggers.extension_filters.cel',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
          expression,
        },
      },
    },
    status_code: 503,
    headers_to_add: [overwrite('retry-after', '1'), overwrite('x-bearerd-reason', reason)],
    body_format_override: {
      json_format: because('bearerd says which reason it is; Envoy alone knows only that there is none.', {
        error: reason,
      }),
    },
  };
}

function overwrite(key: string, value: string): object {
  return { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };
}
