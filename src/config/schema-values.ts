// Pieces of the schema: texts that a parser of this folder reads, so that its message stands at the value's place.
import * as z from 'zod';
import { type DurationBounds, parseDuration } from './duration.ts';
import { Invalid } from './invalid.ts';

/** What `schema` reads, handed to `parse`, whose Invalid becomes the problem of this place. */
export function parsed<S extends z.ZodType, T>(schema: S, parse: (value: z.output<S>) => T) {
  return schema.transform((value, context): T => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof Invalid)) throw error;
      context.issues.push({ code: 'custom', message: error.message, input: value });
      return z.NEVER;
    }
  });
}

/** Path of a file; relative ones are relative to the configuration file. */
export const filePath = z.string().min(1);

/** A duration with its unit, to milliseconds. */
export function duration(bounds: DurationBounds) {
  const text = z
    .string({
      error: ({ input }) =>
        typeof input === 'number'
          ? `a duration needs its unit: "${input}s" for seconds, "${input}ms" for milliseconds`
          : undefined,
    })
    .meta({ pattern: '^\\d+(\\.\\d+)?(ms|s|m|h)$' });
  return parsed(text, (value) => parseDuration(value, bounds));
}

/** Names stand in log lines, metric labels, SDS resource names and Envoy's cluster names. */
export function nameText(what: string) {
  return z.string().regex(/^[a-z0-9][a-z0-9._-]{0,127}$/, {
    error: `expected the name of a ${what}: lower-case letters, digits, ".", "_" and "-", a letter or digit first, at most 128`,
  });
}

/** Of sources and policies. */
export const environment = nameText('environment').describe(
  'What it belongs to, e.g. staging. A source of one environment serves no policy and no source of another. Default: none.',
);

/** Of sources and policies: a label of metrics and alerts, so nothing that has to be escaped there. */
export const owner = nameText('team').describe(
  'Who is called: the label owner of its alerts, by which Alertmanager routes. Default: none.',
);

/** One text or a list of texts. */
export const textOrList = z.union([z.string(), z.array(z.string())], {
  error: 'expected a text or a list of texts',
});

/** JSON Schema of "exactly one of these keys". The check itself is `exactlyOne`. */
export function oneOfKeys(...keys: readonly string[]) {
  return { oneOf: keys.map((key) => ({ required: [key] })) };
}

/** For `.check` of objects: one problem when not exactly one of the keys is there, beside whatever else is wrong with them. */
export function exactlyOne<T extends object>(...keys: readonly (keyof T & string)[]) {
  return z.core._check<T>(exactlyOneCheck<T>(...keys), {
    when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value),
  });
}

/** The same of a sound object, for a check of several things. */
export function exactlyOneCheck<T extends object>(...keys: readonly (keyof T & string)[]) {
  return ({ value, issues }: z.core.ParsePayload<T>): void => {
    const present = keys.filter((key) => value[key] !== undefined);
    if (present.length === 1) return;
    // One that is mistyped is told as what it is.
    if (present.length === 0 && issues.some(isOfUnknownKey)) return;
    const got = present.length === 0 ? 'none' : present.join(' and ');
    issues.push({
      code: 'custom',
      message: `expected exactly one of ${listed(keys)}, got ${got}`,
      input: value,
      continue: true,
    });
  };
}

/** Of this object's own keys. */
function isOfUnknownKey({ code, path = [] }: z.core.$ZodRawIssue): boolean {
  return code === 'unrecognized_keys' && path.length === 0;
}

/** `a, b and c` */
export function listed(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}
