// Another access log for every HTTP connection manager of a bootstrap.

const MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';

/** `format` as a user would write it: each entry of `file` is that and nothing else. */
export function withAccessLog<T>(bootstrap: T, file: string, format: string): T {
  visit(bootstrap, (config) => {
    if (!String(config['@type']).endsWith(MANAGER)) return;
    const log = {
      name: 'envoy.access_loggers.file',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
        path: file,
        log_format: { text_format_source: { inline_string: format } },
      },
    };
    config['access_log'] = [...((config['access_log'] as unknown[]) ?? []), log];
  });
  return bootstrap;
}

function visit(value: unknown, see: (config: Record<string, unknown>) => void): void {
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) see(value as Record<string, unknown>);
  for (const inner of Object.values(value)) visit(inner, see);
}
