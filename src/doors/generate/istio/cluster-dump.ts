// What a user's clusters say that a patch of Istio replaces or cannot change, out of Envoy's /config_dump. Pure.

import { json, objectsIn } from '../../envoy-json.ts';
import { meshCluster } from '../../mesh-cluster.ts';
import {
  encryptedSockets,
  endpointsIn,
  endpointsOf,
  HTTP_OPTIONS,
  isPlain,
  openEndpoints,
  type Stranger,
  sniOf,
  strangersOf,
  validationsIn,
} from '../../transport.ts';

/** By service, each port and subset of it. */
export type ClusterOptions = ReadonlyMap<string, readonly OwnOptions[]>;

export interface OwnOptions {
  /** Of the cluster: outbound|PORT|SUBSET|SERVICE. */
  readonly name: string;
  readonly service: string;
  readonly port: number;
  /** HttpProtocolOptions without upstream filters: a MERGE of Istio replaces them as a whole, so they are carried into the patch. */
  readonly http: Readonly<Record<string, unknown>> | undefined;
  /** Concurrent retries; undefined = Envoy's default of 3. */
  readonly maxRetries: number | undefined;
  /** No TLS to it, not even the mesh's own by endpoint. some: none to endpoints that the dump has (`include_eds`). */
  readonly plain: 'all' | 'some' | undefined;
  /** Who may answer by its TLS beside the service; undefined = nobody. */
  readonly strangers: Stranger | undefined;
  /** The name that its TLS asks for; undefined = the request's host. */
  readonly sni: string | undefined;
}

/** `dump` as Envoy printed it. */
export function readClusterDump(dump: unknown): ClusterOptions {
  const found = new Map<string, OwnOptions>();
  const objects = objectsIn(dump);
  const validations = validationsIn(objects);
  const endpoints = endpointsIn(objects);
  for (const { object } of objects) {
    const cluster = json(object['cluster']);
    const name = String(cluster['name']);
    const mesh = meshCluster(name);
    if (mesh === undefined) continue;
    const options = (cluster['typed_extension_protocol_options'] as Record<string, unknown> | undefined)?.[
      HTTP_OPTIONS
    ];
    // Envoy counts by the first thresholds of a priority.
    const { thresholds } = (cluster['circuit_breakers'] ?? {}) as { thresholds?: { max_retries?: number }[] };
    found.set(name, {
      name,
      ...mesh,
      http: withoutFilters(options),
      maxRetries: thresholds?.[0]?.max_retries,
      plain: isPlain(cluster)
        ? 'all'
        : openEndpoints(cluster, endpointsOf(cluster, endpoints)).length > 0
          ? 'some'
          : undefined,
      strangers: strangersOf(cluster, encryptedSockets(cluster), validations),
      sni: sniOf(cluster),
    });
  }
  return Map.groupBy(found.values(), ({ service }) => service);
}

/** Those of the service on this port, or on any where the policy names none, with each subset of it. */
export function optionsOf(
  options: ClusterOptions,
  { name, port }: { readonly name: string; readonly port: number | undefined },
): readonly OwnOptions[] {
  return (options.get(name) ?? []).filter((own) => port === undefined || own.port === port);
}

function withoutFilters(options: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof options !== 'object' || options === null) return undefined;
  const { '@type': _, http_filters: __, ...own } = options as Record<string, unknown>;
  return own;
}
