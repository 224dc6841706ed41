// What a user's clusters say of HTTP, out of Envoy's /config_dump: a MERGE of Istio replaces these options as a whole, so they
// are carried into the patch. Pure.

/** HttpProtocolOptions by service, without upstream filters. */
export type ClusterOptions = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** `dump` as Envoy printed it. Istio names clusters outbound|PORT|SUBSET|SERVICE; the keys are SERVICE:PORT. */
export function readClusterDump(dump: unknown): ClusterOptions {
  const found = new Map<string, Readonly<Record<string, unknown>>>();
  for (const cluster of clusters(dump)) {
    const name = /^outbound\|(\d+)\|[^|]*\|(.+)$/.exec(String(cluster['name']));
    const options = (cluster['typed_extension_protocol_options'] as Record<string, unknown> | undefined)?.[
      HTTP_OPTIONS
    ];
    if (!name || typeof options !== 'object' || options === null) continue;
    const { '@type': _, http_filters: __, ...own } = options as Record<string, unknown>;
    found.set(`${name[2]}:${name[1]}`, own);
  }
  return found;
}

/** Those of the service on this port, or on any where the policy names none. */
export function optionsOf(
  options: ClusterOptions,
  service: string,
  port: number | undefined,
): Readonly<Record<string, unknown>> | undefined {
  if (port !== undefined) return options.get(`${service}:${port}`);
  return [...options].find(([key]) => key.startsWith(`${service}:`))?.[1];
}

function clusters(dump: unknown): Record<string, unknown>[] {
  if (typeof dump !== 'object' || dump === null) return [];
  if (Array.isArray(dump)) return dump.flatMap(clusters);
  const entry = dump as Record<string, unknown>;
  const own = entry['cluster'];
  if (typeof own === 'object' && own !== null && 'name' in own) return [own as Record<string, unknown>];
  return Object.values(entry).flatMap(clusters);
}
