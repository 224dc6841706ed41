// Envoy's own answer when the injector has no credential: 401 by itself, which would read as the upstream's refusal.
import { because } from '../../lib/commented-yaml.ts';

/** The injector's response code details. Nothing else is matched, so that no other local reply is touched. */
const NO_CREDENTIAL = 'failed_to_inject_credential';

export function localReplyConfig(): object {
  return {
    mappers: [
      {
        filter: {
          extension_filter: {
            name: 'envoy.access_loggers.extension_filters.cel',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
              expression: `response.code_details == '${NO_CREDENTIAL}'`,
            },
          },
        },
        status_code: 503,
        headers_to_add: [overwrite('retry-after', '1'), overwrite('x-bearerd-reason', 'no_credential')],
        body_format_override: {
          json_format: because(
            'The check door says which reason it is; Envoy alone knows only that there is none.',
            {
              error: 'no_credential',
            },
          ),
        },
      },
    ],
  };
}

function overwrite(key: string, value: string): object {
  return { header: { key, value }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };
}
