// RFC 6901: one value inside a JSON document.

/** undefined where there is none. */
export function pointed(document: unknown, pointer: string): unknown {
  let at = document;
  if (pointer === '') return at;
  for (const step of pointer.slice(1).split('/')) {
    // Section 4: ~1 first, so that ~01 is "~1".
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}
