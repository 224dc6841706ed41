// Envoy's own configuration as JSON, of which nothing is known for certain. Pure.

export type Json = Readonly<Record<string, unknown>>;

/** An object of a configuration. */
export interface Placed {
  readonly object: Json;
  /** What it stands in, from the outside. */
  readonly above: readonly Json[];
}

/** Every object below `value`. What nests two hundred deep is no configuration. */
export function objectsIn(value: unknown, above: readonly Json[] = []): Placed[] {
  if (typeof value !== 'object' || value === null || above.length > 200) return [];
  if (Array.isArray(value)) return value.flatMap((item) => objectsIn(item, above));
  const object = value as Json;
  const inside = [...above, object];
  return [{ object, above }, ...Object.values(object).flatMap((inner) => objectsIn(inner, inside))];
}

/** By the end of its type's name. */
export function isType(object: Json, name: string): boolean {
  return typeof object['@type'] === 'string' && object['@type'].endsWith(name);
}

/** The object, or an empty one where it is none. */
export function json(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
