// Derived components of HTTP Message Signatures (RFC 9421 section 2.2), for who signs and who verifies: the two must agree.

/** undefined for a name that is none of those known here. `origin`: scheme and host; `path`: with its query. */
export function derivedComponent(
  name: string,
  { method, origin, path }: { readonly method: string; readonly origin: string; readonly path: string },
): string | undefined {
  const query = path.indexOf('?');
  switch (name) {
    case '@method':
      return method;
    case '@target-uri':
      return origin + path;
    case '@authority':
      return origin.slice(origin.indexOf('://') + 3);
    case '@scheme':
      return origin.slice(0, origin.indexOf('://'));
    case '@path':
      return query === -1 ? path : path.slice(0, query);
    case '@query':
      return query === -1 ? '?' : path.slice(query);
    default:
      return undefined;
  }
}
