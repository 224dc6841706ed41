// Envoy's own configuration as JSON, of which nothing is known for certain. Pure.

export type Json = Readonly<Record<string, unknown>>;

/** An object of a configuration. */
export interface Placed {
  readonly object: Json;
  /** What it stands in, from the outside. */
  readonly above: readonly Json[];
}

/** Every object below `value`, each before those inside it. What nests four hundred deep is no configuration. */
export function objectsIn(value: unknown): Placed[] {
  const found: Placed[] = [];
  const visit = (inner: unknown, above: readonly Json[], depth: number): void => {
    if (typeof inner !== 'object' || inner === null || depth > 400) return;
    if (Array.isArray(inner)) {
      for (const item of inner) visit(item, above, depth + 1);
      return;
    }
    found.push({ object: inner as Json, above });
    const inside = [...above, inner as Json];
    for (const item of Object.values(inner)) visit(item, inside, depth + 1);
  };
  visit(value, [], 0);
  return found;
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
