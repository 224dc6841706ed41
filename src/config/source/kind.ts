// What the configuration knows of one way to get a credential. One file a way; kinds.ts lists them.
import type * as z from 'zod';

export interface SourceKind<Schema extends z.ZodType, SourceConfig> {
  /** Below `sources.NAME.KIND`. Every key with its meaning, unit and default. */
  readonly schema: Schema;
  /** From the file's words to the program's. `path` makes a path of the file absolute. */
  toConfig(value: z.output<Schema>, path: (relative: string) => string): SourceConfig;
  /** Whether asking again brings another credential: then a refusal of an upstream renews it (heal_on: 401). */
  readonly renewable: boolean;
  /** Keys with addresses of providers. Plain http there needs mode: development. */
  readonly providerUrls: readonly (keyof z.output<Schema> & string)[];
}

/** Only for the types: each kind keeps its own. */
export function sourceKind<Schema extends z.ZodType, SourceConfig>(
  kind: SourceKind<Schema, SourceConfig>,
): SourceKind<Schema, SourceConfig> {
  return kind;
}
