// What a running Envoy says of itself by its admin interface, as far as the doctor looks. Pure.

type Json = Readonly<Record<string, unknown>>;

export interface EnvoyState {
  /** `1.40.0`; undefined = it could not be told. */
  readonly version: string | undefined;
  /** Every object of the configuration, each with what it stands in. */
  readonly objects: readonly { readonly object: Json; readonly above: readonly Json[] }[];
  /** Names of secrets that came by SDS, and whether they are still waited for. */
  readonly secrets: ReadonlyMap<string, 'active' | 'warming'>;
  /** Counters and gauges by name. */
  readonly stats: ReadonlyMap<string, number>;
}

/** `serverInfo`, `configDump` and `stats` as the admin interface answered (`/stats?format=json`). */
export function readEnvoyState(serverInfo: unknown, configDump: unknown, stats: unknown): EnvoyState {
  const version = /\/(\d+\.\d+\.\d+)[-/]/.exec(String(json(serverInfo)['version']))?.[1];
  const secrets = new Map<string, 'active' | 'warming'>();
  const all = objects(configDump, []);
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
  return { version, objects: all, secrets, stats: new Map(numbers) };
}

/** Those with this type, by the end of its name. */
export function ofType(state: EnvoyState, name: string): EnvoyState['objects'] {
  return state.objects.filter(({ object }) => String(object['@type'] ?? '').endsWith(name));
}

export function json(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `1.500s` in milliseconds; undefined where it is no duration. */
export function durationMs(value: unknown): number | undefined {
  const match = /^(\d+(?:\.\d+)?)s$/.exec(String(value));
  return match ? Number(match[1]) * 1_000 : undefined;
}

function objects(value: unknown, above: readonly Json[]): { object: Json; above: readonly Json[] }[] {
  if (typeof value !== 'object' || value === null || above.length > 200) return [];
  if (Array.isArray(value)) return value.flatMap((item) => objects(item, above));
  const object = value as Json;
  const inside = [...above, object];
  return [{ object, above }, ...Object.values(object).flatMap((inner) => objects(inner, inside))];
}
