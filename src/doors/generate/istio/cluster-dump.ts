// What a user's clusters say that a patch of Istio replaces or cannot change, out of Envoy's /config_dump. Pure.

import { HTTP_OPTIONS, isPlain } from '../../transport.ts';

/** By service. */
export type ClusterOptions = ReadonlyMap<string, OwnOptions>;

export interface OwnOptions {
  /** HttpProtocolOptions without upstream filters: a MERGE of Istio replaces them as a whole, so they are carried into the patch. */
  readonly http: Readonly<Record<string, unknown>> | undefined;
  /** Concurrent retries; undefined = Envoy's default of 3. */
  readonly maxRetries: number | undefined;
  /** No TLS to it, not even the mesh's own by endpoint; of several subsets any. */
  readonly plain: boolean;
}

/** `dump` as Envoy printed it. Istio names clusters outbound|PORT|SUBSET|SERVICE; the keys are SERVICE:PORT. */
export function readClusterDump(dump: unknown): ClusterOptions {
  const found = new Map<string, OwnOptions>();
  for (const cluster of clusters(dump)) {
    const name = /^outbound\|(\d+)\|[^|]*\|(.+)$/.exec(String(cluster['name']));
    const options = (cluster['typed_extension_protocol_options'] as Record<string, unknown> | undefined)?.[
      HTTP_OPTIONS
    ];
    if (!name) continue;
    // Envoy counts by the first thresholds of a priority.
    const { thresholds } = (cluster['circuit_breakers'] ?? {}) as { thresholds?: { max_retries?: number }[] };
    const key = `${name[2]}:${name[1]}`;
    found.set(key, {
      http: withoutFilters(options),
      maxRetries: thresholds?.[0]?.max_retries,
      plain: found.get(key)?.plain === true || isPlain(cluster),
    });
  }
  return found;
}

/** Those of the service on this port, or on any where the policy names none. */
export function optionsOf(
  options: ClusterOptions,
  service: string,
  port: number | undefined,
): OwnOptions | undefined {
  if (port !== undefined) return options.get(`${service}:${port}`);
  return [...options].find(([key]) => key.startsWith(`${service}:`))?.[1];
}

function withoutFilters(options: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof options !== 'object' || options === null) return undefined;
  const { '@type': _, http_filters: __, ...own } = options as Record<string, unknown>;
  return own;
}

function clusters(dump: unknown): Record<string, unknown>[] {
  if (typeof dump !== 'object' || dump === null) return [];
  if (Array.isArray(dump)) return dump.flatMap(clusters);
  const entry = dump as Record<string, unknown>;
  const own = entry['cluster'];
  if (typeof own === 'object' && own !== null && 'name' in own) return [own as Record<string, unknown>];
  return Object.values(entry).flatMap(clusters);
}
