// What zod found, in words of the file: path, place, what was expected, what was got, and a suggestion for unknown keys.
// Never a value under a key that holds a secret.
import type { z } from 'zod';
import type { ConfigProblem } from '../lib/errors.ts';
import { nearestWord } from '../lib/suggestion.ts';
import type { Path, YamlDocument } from './yaml-document.ts';

type Issue = z.core.$ZodIssue;
type AnySchema = z.core.$ZodTypes;

const SECRET_KEYS = new Set<PropertyKey>([
  'api_keys',
  'client_secret',
  'extra_params',
  'form',
  'headers',
  'inline',
  'json',
  'key',
  'keys',
  'password',
  'prefix',
  'secrets',
  'shared_secret',
  'static',
  'value',
]);

/** Tells a problem of what stands at `path`. */
export type Report = (path: Path, message: string) => void;

/** `sources.orders.client_credentials.scope[0]` */
function pathText(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : `${i === 0 ? '' : '.'}${String(step)}`))
    .join('');
}

export function problemAt(document: YamlDocument, path: Path, message: string, atKey = false): ConfigProblem {
  const place = atKey ? document.placeOfKey(path) : document.placeOf(path);
  const file = place.file === undefined ? {} : { file: place.file };
  return { ...file, path: pathText(place.path ?? path), line: place.line, column: place.column, message };
}

/** `schema` is the file's, for suggestions of keys. */
export function shapeProblems(
  document: YamlDocument,
  issues: readonly Issue[],
  schema: z.ZodType,
): ConfigProblem[] {
  return issues.flatMap((issue) => shapeProblem(document, issue, [], schema as unknown as AnySchema));
}

function shapeProblem(document: YamlDocument, issue: Issue, above: Path, schema: AnySchema): ConfigProblem[] {
  const path = [...above, ...issue.path];
  const value = valueAt(document.value, path);
  const at = (message: string, atKey = false) => [problemAt(document, path, message, atKey)];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(document, path, key, schema));
    case 'invalid_union': {
      const branch = meantBranch(issue.errors);
      if (branch !== undefined) return branch.flatMap((inner) => shapeProblem(document, inner, path, schema));
      return at(`${issue.message}, got ${described(value, path)}`);
    }
    case 'invalid_key':
      return at(issue.issues[0]?.message ?? 'unexpected name', true);
    case 'invalid_type':
      // The place of something missing is what it is missing from.
      if (value === undefined) return at(`missing: expected ${withArticle(issue.expected)}`, true);
      if (!issue.message.startsWith('Invalid')) return at(issue.message);
      return at(
        `expected ${withArticle(issue.expected)}, got ${described(value, path)}${wayOut(issue.expected, value, path)}`,
      );
    case 'invalid_value': {
      if (value === undefined) return at(`missing: ${issue.message}`, true);
      const expected = issue.message.startsWith('Invalid')
        ? `expected ${issue.values
            .map(String)
            .join(', ')
            .replace(/, ([^,]*)$/, ' or $1')}`
        : issue.message;
      const near = typeof value === 'string' ? nearestWord(value, issue.values.map(String)) : undefined;
      return at(`${expected}, got ${described(value, path)}${near ? `; did you mean ${near}?` : ''}`);
    }
    case 'too_small':
      if (issue.origin === 'array') return at('expected at least one entry, got an empty list');
      if (issue.origin === 'string') return at('expected a text, got an empty one');
      return at(`expected at least ${issue.minimum}, got ${described(value, path)}`);
    case 'too_big':
      return at(`expected at most ${issue.maximum}, got ${described(value, path)}`);
    default:
      return at(issue.message);
  }
}

function unknownKey(document: YamlDocument, path: Path, key: string, schema: AnySchema): ConfigProblem {
  const known = keysAt(schema, path);
  const whole = [...path, key];
  const near = nearestWord(key, known);
  const place = near === undefined ? placeOfKnown(document, path, key, schema) : undefined;
  if (place !== undefined) {
    const where = place.length === 0 ? 'the top level' : pathText(place);
    return problemAt(document, whole, `belongs to ${where}: look at its indentation`, true);
  }
  if (near !== undefined) {
    return problemAt(document, whole, `unknown key "${key}"; did you mean ${near}?`, true);
  }
  const expected = `expected ${known.length === 1 ? '' : 'one of '}${known.join(', ')}`;
  // `client_secret: { hunter2 }` makes the secret itself a key.
  if (isSecretPlace(path)) {
    return { ...problemAt(document, whole, `unknown key; ${expected}`, true), path: pathText(path) };
  }
  return problemAt(document, whole, `unknown key "${key}"; ${expected}`, true);
}

/** Where the schema knows a key that stands too deep, or not deep enough, in the file. */
function placeOfKnown(document: YamlDocument, path: Path, key: string, schema: AnySchema): Path | undefined {
  const above = path.map((_, i) => path.slice(0, -1 - i));
  const below = keysAt(schema, path)
    .map((name) => [...path, name])
    .filter((one) => valueAt(document.value, one) !== undefined);
  return [...above, ...below].find((one) => keysAt(schema, one).includes(key));
}

function isSecretPlace(path: Path): boolean {
  return path.some((step) => SECRET_KEYS.has(step));
}

/** Of the ways in which a value may be written, the one whose type was used. */
function meantBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const meant = branches.filter((issues) => !issues.some((i) => i.path.length === 0 && isOtherType(i)));
  return meant.length === 1 ? meant[0] : undefined;
}

function isOtherType(issue: Issue): boolean {
  if (issue.code === 'invalid_union') return meantBranch(issue.errors) === undefined;
  return issue.code === 'invalid_type';
}

function withArticle(type: string): string {
  switch (type) {
    case 'string':
      return 'a text';
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'an object (key: value)';
    case 'boolean':
      return 'true or false';
    case 'int':
      return 'a whole number';
    default:
      return `a ${type}`;
  }
}

function described(value: unknown, path: Path): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const type = typeof value === 'string' ? 'a text' : `a ${typeof value}`;
  if (isSecretPlace(path)) return type;
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 60 ? type : text;
}

/** How a value is written that is a list or object to the schema, and to the file a text or nothing. */
function wayOut(expected: string, value: unknown, path: Path): string {
  if (value === null && ['array', 'object', 'record'].includes(expected)) {
    return ': what belongs to it is indented below it';
  }
  if (expected !== 'array') return '';
  if (typeof value === 'object') return '; each entry of a list begins with "- "';
  return typeof value === 'string' && !isSecretPlace(path) && /^[\w./-]{1,60}$/.test(value)
    ? `; write [${value}]`
    : '';
}

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<PropertyKey, unknown>)[step];
  }
  return at;
}

/** The keys that the schema knows at a path. */
function keysAt(schema: AnySchema, path: Path): readonly string[] {
  const { def } = schema._zod;
  switch (def.type) {
    case 'optional':
    case 'default':
    case 'prefault':
      return keysAt(def.innerType as AnySchema, path);
    case 'pipe':
      return keysAt(def.in as AnySchema, path);
    case 'union':
      return def.options.flatMap((option: unknown) => keysAt(option as AnySchema, path));
    case 'array':
      return path.length === 0 ? [] : keysAt(def.element as AnySchema, path.slice(1));
    case 'record':
      return path.length === 0 ? [] : keysAt(def.valueType as AnySchema, path.slice(1));
    case 'object': {
      if (path.length === 0) return Object.keys(def.shape).filter((key) => key !== '$schema');
      const name = String(path[0]);
      const next = Object.hasOwn(def.shape, name) ? def.shape[name] : undefined;
      return next === undefined ? [] : keysAt(next as AnySchema, path.slice(1));
    }
    default:
      return [];
  }
}
