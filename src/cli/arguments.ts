// Command lines of verbs: flags with values and positionals, with suggestions for what was mistyped.
import { parseArgs } from 'node:util';
import { nearestWord } from '../lib/suggestion.ts';
import { UsageError } from './command.ts';

export interface Arguments {
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly positionals: readonly string[];
  /** Flags without a value that stand there. */
  readonly switches: ReadonlySet<string>;
}

/** Throws UsageError. `flags` take a value each, `switches` none. */
export function parseArguments(
  args: readonly string[],
  flags: readonly string[],
  switches: readonly string[] = [],
): Arguments {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries([
      ...flags.map((name) => [name, { type: 'string' as const }]),
      ...switches.map((name) => [name, { type: 'boolean' as const }]),
    ]),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const found: Record<string, string> = {};
  const positionals: string[] = [];
  const present = new Set<string>();
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    if (switches.includes(token.name)) {
      if (token.value !== undefined) throw new UsageError(`--${token.name} takes no value`);
      present.add(token.name);
      continue;
    }
    if (!flags.includes(token.name)) {
      const near = nearestWord(token.name, [...flags, ...switches]);
      throw new UsageError(`unknown option ${token.rawName}${near ? `; did you mean --${near}?` : ''}`);
    }
    if (token.value === undefined || (!token.inlineValue && /^-./.test(token.value)))
      throw new UsageError(`--${token.name} needs a value; one that begins with "-" is --${token.name}=-…`);
    if (found[token.name] !== undefined) throw new UsageError(`--${token.name} stands there twice`);
    found[token.name] = token.value;
  }
  return { flags: found, positionals, switches: present };
}

/** For verbs that take options alone. Throws UsageError. */
export function refusePositionals({ positionals: [first], flags }: Arguments): void {
  if (first === undefined) return;
  const meant = flags['config'] === undefined ? `; did you mean --config ${first}?` : '';
  throw new UsageError(`unexpected "${first}"${meant}`);
}

/** The word that says what a verb is to do. Throws UsageError. */
export function oneVerb<T extends string>(given: string | undefined, known: readonly T[]): T {
  if ((known as readonly (string | undefined)[]).includes(given)) return given as T;
  const near = given === undefined ? undefined : nearestWord(given, known);
  const what = known.length === 1 ? `expected ${known[0]}` : `expected one of ${known.join(', ')}`;
  const got = given === undefined ? '' : `, got "${given}"`;
  throw new UsageError(`${what}${got}${near ? `; did you mean ${near}?` : ''}`);
}

/** Throws UsageError. */
export function required({ flags }: Arguments, name: string): string {
  const value = flags[name];
  if (value === undefined) throw new UsageError(`--${name} is missing`);
  return value;
}

/** Throws UsageError. */
export function oneOf<T extends string>(name: string, value: string, known: readonly T[]): T {
  if ((known as readonly string[]).includes(value)) return value as T;
  const near = nearestWord(value, known);
  throw new UsageError(
    `--${name} is one of ${known.join(', ')}, got "${value}"${near ? `; did you mean ${near}?` : ''}`,
  );
}
