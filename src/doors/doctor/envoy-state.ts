// What a running Envoy says of itself by its admin interface, as far as the doctor looks. Pure.

import { isType, type Json, json, list, objectsIn, type Placed } from '../envoy-json.ts';
import { METADATA_KEY } from '../generate/access-log.ts';
import { type Endpoints, endpointsIn, type Validations, validationsIn } from '../transport.ts';

export interface EnvoyState {
  /** `1.40.0`; undefined = it could not be told. */
  readonly version: string | undefined;
  /** Every object of the configuration, each with what it stands in. */
  readonly objects: readonly Placed[];
  /** Names of secrets that came by SDS, and whether they are still waited for. */
  readonly secrets: ReadonlyMap<string, 'active' | 'warming'>;
  /** How servers are verified, as far as it came by SDS. */
  readonly validations: Validations;
  readonly endpoints: Endpoints;
  /** Counters and gauges by name. */
  readonly stats: ReadonlyMap<string, number>;
}

/** `serverInfo`, `configDump` and `stats` as the admin interface answered (`/config_dump?include_eds`, `/stats?format=json`). */
export function readEnvoyState(serverInfo: unknown, configDump: unknown, stats: unknown): EnvoyState {
  const version = /\/(\d+\.\d+\.\d+)[-/]/.exec(String(json(serverInfo)['version']))?.[1];
  const secrets = new Map<string, 'active' | 'warming'>();
  const all = objectsIn(configDump);
  for (const { object } of all) {
    for (const state of ['active', 'warming'] as const) {
      for (const secret of list(object[`dynamic_${state}_secrets`])) {
        const name = json(secret)['name'];
        if (typeof name === 'string') secrets.set(name, state);
      }
    }
  }
  const numbers = list(json(stats)['stats']).flatMap((entry): [string, number][] => {
    const { name, value } = json(entry);
    return typeof name === 'string' && typeof value === 'number' ? [[name, value]] : [];
  });
  return {
    version,
    objects: all,
    secrets,
    validations: validationsIn(all),
    endpoints: endpointsIn(all),
    stats: new Map(numbers),
  };
}

/** Those with this type, by the end of its name. */
export function ofType(state: EnvoyState, name: string): EnvoyState['objects'] {
  return state.objects.filter(({ object }) => isType(object, name));
}

/** Its secret comes from bearerd. */
export function isOurs(credential: Json): boolean {
  return objectsIn(credential).some(({ object }) => String(object['cluster_name']).startsWith('bearerd_xds'));
}

/** Of bearerd's filters: the cluster that is asked. */
export function askedCluster(filter: Json): unknown {
  return json(json(filter['grpc_service'])['envoy_grpc'])['cluster_name'];
}

/** What a generated cluster says of its policy: `policy`, `source`, `door`; empty where it is none of ours. */
export function metadataOfCluster(cluster: Json): Json {
  return json(json(json(cluster['metadata'])['filter_metadata'])[METADATA_KEY]);
}

/** `1.500s` in milliseconds; undefined where it is no duration. */
export function durationMs(value: unknown): number | undefined {
  const match = /^(\d+(?:\.\d+)?)s$/.exec(String(value));
  return match ? Number(match[1]) * 1_000 : undefined;
}
