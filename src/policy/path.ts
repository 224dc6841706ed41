// The request's path without its query, and whether two parsers may read it differently.
// Filters that compared paths their own way are a class of advisories (Envoy CVE-2019-9901, Oathkeeper CVE-2026-33494).

/** The path up to the first `?` or `#`. The query is never read. */
export function cutQuery(path: string): string {
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    if (c === 63 || c === 35) return path.slice(0, i);
  }
  return path;
}

// `//`; a segment of one or two dots, also percent-encoded; an encoded slash, backslash or NUL; `;`, backslash, control
// characters and anything beyond ASCII. Also a path that does not start with a slash (absolute form, `*`).
const AMBIGUOUS = /^[^/]|\/\/|\/(?:\.|%2e){1,2}(?:\/|$)|%2f|%5c|%00|[;\\]|[^\x21-\x7e]/i;

/** `path` without its query. An empty path (CONNECT) is ambiguous too. */
export function isAmbiguousPath(path: string): boolean {
  return path === '' || AMBIGUOUS.test(path);
}
