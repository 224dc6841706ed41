// Secrets in the file itself, which the development mode alone takes.
import type { ConfigProblem } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { problemAt } from './problems.ts';
import type { Path, YamlDocument } from './yaml-document.ts';

export const INLINE =
  'a secret in the file itself needs mode: development; use { file: /path } or { env: NAME }';

/** Below these everybody names what he likes. */
const FREE = new Set(['claims', 'extra_params', 'form', 'headers', 'json']);

/** Where they stand below `value`: only they have become a Secret when the file was read. */
export function inlineSecrets(value: unknown): Path[] {
  return pathsOf(value, (one) => one['value'] instanceof Secret);
}

/** The same of a file with faults of its shape, of which nothing is known yet: by their form. */
export function inlineProblems(document: YamlDocument): ConfigProblem[] {
  if ((document.value as { readonly mode?: unknown } | null)?.mode === 'development') return [];
  const isInline = (one: Readonly<Record<string, unknown>>): boolean =>
    typeof one['inline'] === 'string' && Object.keys(one).length === 1;
  return pathsOf(document.value, isInline)
    .filter((path) => !path.some((step) => FREE.has(String(step))))
    .map((path) => problemAt(document, [...path, 'inline'], INLINE));
}

function pathsOf(value: unknown, is: (one: Readonly<Record<string, unknown>>) => boolean): Path[] {
  if (typeof value !== 'object' || value === null) return [];
  if (is(value as Record<string, unknown>)) return [[]];
  return Object.entries(value).flatMap(([key, inner]) =>
    pathsOf(inner, is).map((path): Path => [Array.isArray(value) ? Number(key) : key, ...path]),
  );
}
