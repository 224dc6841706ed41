// The words for a name that is no source's.
import { nearestWord } from '../lib/suggestion.ts';

export function unknownSource(name: string, known: readonly string[]): string {
  const near = nearestWord(name, known);
  if (near !== undefined) return `no source named "${name}"; did you mean ${near}?`;
  return `no source named "${name}"; there ${known.length === 0 ? 'is none' : `are ${known.join(', ')}`}`;
}
