// What a snippet of a document takes for granted, so that it can be loaded as it stands there.
import { parse, stringify } from 'yaml';
import { configJsonSchema } from '../../src/config/schema.ts';
import type { DocBlock } from './doc-blocks.ts';

const KEYS = Object.keys((configJsonSchema() as { properties: object }).properties);

/** Whether the block is a configuration of bearerd, whole or a fragment from its top level. */
export function isConfiguration({ language, text }: DocBlock): boolean {
  if (language !== 'yaml' || /^\s/.test(text)) return false;
  return Object.keys(parse(text) as object).every((key) => KEYS.includes(key));
}

interface Written {
  readonly listen?: object;
  readonly outbound?: readonly { readonly inject?: { readonly source: string } }[];
}

/** A fragment with `version`, something to listen at, and sources that its policies name. A whole one is left as it is. */
export function completed(text: string): string {
  const written = parse(text) as Written;
  const inbound = 'inbound' in written;
  const listen = inbound
    ? { check_inbound: 'unix:///run/bearerd/inbound.sock' }
    : { check: 'unix:///run/bearerd/check.sock', xds: 'unix:///run/bearerd/xds.sock' };
  const named = [...new Set(written.outbound?.flatMap(({ inject }) => inject?.source ?? []))];
  const sources = Object.fromEntries(named.map((name) => [name, { static: { value: { env: 'KEY' } } }]));
  if ('version' in written && 'listen' in written && 'sources' in written) return text;
  return stringify({
    version: 1,
    ...(named.length > 0 && { sources }),
    ...written,
    listen: { ...listen, ...written.listen },
  });
}

/** An Envoy with this HTTP filter and these access logs, and a cluster `checkout` that it may name. */
export function withHttpFilter(name: string, filter: object, access_log: readonly object[] = []): object {
  const api = 'type.googleapis.com/envoy.extensions.filters';
  const router = {
    name: 'envoy.filters.http.router',
    typed_config: { '@type': `${api}.http.router.v3.Router` },
  };
  const manager = {
    '@type': `${api}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'snippet',
    access_log,
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'] }] },
    http_filters: [{ name, typed_config: filter }, router],
  };
  const socket_address = { address: '127.0.0.1', port_value: 0 };
  return {
    static_resources: {
      listeners: [
        {
          name: 'snippet',
          address: { socket_address },
          filter_chains: [
            { filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] },
          ],
        },
      ],
      clusters: [{ name: 'checkout', type: 'STATIC', load_assignment: { cluster_name: 'checkout' } }],
    },
  };
}
