// URI names of a certificate, and patterns for them.

/**
 * The URI entries of what Node prints as subjectAltName. Names with commas, quotes or the like stand in it as JSON
 * strings (CVE-2021-44532), so it is read from the start and not searched: a DNS name may contain the text of a URI.
 */
export function uriNames(subjectAltName: string | undefined): string[] {
  const names: string[] = [];
  const entry = /([^:,]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;
  while (subjectAltName !== undefined && entry.lastIndex < subjectAltName.length) {
    const match = entry.exec(subjectAltName);
    if (match === null) return [];
    const [, type, value] = match;
    if (type === 'URI') names.push(value!.startsWith('"') ? String(JSON.parse(value!)) : value!);
  }
  return names;
}

/** `*` at the end of a pattern stands for anything, elsewhere for itself. */
export function matchesUri(pattern: string, uri: string): boolean {
  return pattern.endsWith('*') ? uri.startsWith(pattern.slice(0, -1)) : uri === pattern;
}
