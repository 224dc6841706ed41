// Texts with places for secrets: `Token ${key}`. `$${` stands for `${` itself.

const PLACE = /\$\$\{|\$\{([^}]*)\}/g;

/** Names of the secrets that `text` has places for. */
export function placesOf(text: string): readonly string[] {
  return [...text.matchAll(PLACE)].flatMap(([, name]) => (name === undefined ? [] : [name]));
}

/** The text with every secret in its place. */
export function filled(text: string, secrets: ReadonlyMap<string, string>): string {
  return text.replace(PLACE, (_, name?: string) => (name === undefined ? '${' : (secrets.get(name) ?? '')));
}

/** Every text in a JSON value, keys of objects left out, replaced. */
export function mapTexts(value: unknown, replace: (text: string) => string): unknown {
  if (typeof value === 'string') return replace(value);
  if (Array.isArray(value)) return value.map((item) => mapTexts(item, replace));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapTexts(inner, replace)]));
}
