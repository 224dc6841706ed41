// Paths of a policy: prefixes at segment borders, exact paths, RE2 expressions on the whole path. Never the query.
import { RE2JS } from 're2js';
import { refuse } from './invalid.ts';

const MAX_REGEX_LENGTH = 1_024;

export type PathRule =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

/** Throws Invalid. */
export function parsePathRule(kind: 'prefix' | 'exact', value: string): PathRule {
  if (!value.startsWith('/')) refuse(`a path starts with "/", got "${value}"`);
  if (value.includes('?')) refuse('the query is never matched: leave out "?" and what follows it');
  if (value.includes('#')) refuse('a fragment is never sent: leave out "#" and what follows it');
  if (value.includes('*')) {
    refuse(
      `"*" has no meaning in a path: "/v1/" covers everything below it, { regex: ... } the rest, got "${value}"`,
    );
  }
  return { kind, value };
}

/** Throws Invalid. The expression must match the whole path. */
export function parsePathRegex(value: string): PathRule {
  if (value === '') refuse('expected a regular expression, got an empty string');
  if (value.length > MAX_REGEX_LENGTH)
    refuse(`a regular expression has at most ${MAX_REGEX_LENGTH} characters`);
  try {
    RE2JS.compile(value);
  } catch (error) {
    refuse(
      `not a regular expression of RE2 (no look-around, no back references): ${(error as Error).message}`,
    );
  }
  return { kind: 'regex', value };
}
