// The request's authority, taken apart: lower case, one trailing dot dropped, port split (RFC 3986 section 3.2).
// What is not a plain host is no host at all, and no policy covers it.

export interface Host {
  readonly name: string;
  readonly port: number;
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443 };

// Labels without empty ones, or an IPv6 address in brackets; no userinfo, no non-ASCII, no
// zeros before a port, which another parser may take off. A port above 65535 is that of no rule.
const HOST = /^(?:([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?|(\[[0-9a-f:.]+\]))(?::(0|[1-9][0-9]{0,4}))?$/i;

/** undefined where it is not a plain host. A missing port counts as the scheme's, 80 for an unknown scheme. */
export function parseHost(authority: string, scheme: string): Host | undefined {
  if (authority.length > 300) return undefined;
  const match = HOST.exec(authority);
  if (!match) return undefined;
  const port = match[3] === undefined ? (DEFAULT_PORT[scheme] ?? 80) : Number(match[3]);
  return { name: (match[1] ?? match[2]!).toLowerCase(), port };
}
