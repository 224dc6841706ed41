// "Did you mean": the nearest of the known words, for settings, verbs and flags that were mistyped.

/** The known word within about a third of the letters' edits of `word`; undefined = none is near. */
export function nearestWord(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    // `secret` for `client_secret`: a whole part of the name counts as one edit.
    const isPart = word.length > 2 && candidate.split(/[_-]/).includes(word.toLowerCase());
    const distance = isPart ? 1 : editDistance(spelling(word), spelling(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `clientSecret`, `client-secret` and `client_secret` are one word in three spellings. */
function spelling(word: string): string {
  return word.toLowerCase().replace(/[_-]/g, '');
}

/** Levenshtein's. Words are short. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
