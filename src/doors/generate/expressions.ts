// Hosts, ports, paths and methods in Envoy's words, for routes and for the push door's matcher: compared as strings where
// that says the same, as RE2 expressions elsewhere. They say what policy/ says; a test runs one table through both.
import type { PathRule } from '../../config/config.ts';

/** A host under some names, and on a port; undefined = on every one. */
export interface Authority {
  readonly names: readonly string[];
  /** Every name below these. */
  readonly wildcard: boolean;
  readonly port: number | undefined;
}

/** `:authority` of requests to this endpoint, any case, one trailing dot allowed, as the whole value. */
export function authorityExpression(endpoint: Authority): string {
  const names = endpoint.names.map(literal).join('|');
  const labels = endpoint.wildcard ? '([a-z0-9_-]+\\.)+' : '';
  return `(?i)${labels}(${names})\\.?${portExpression(endpoint.port)}`;
}

/** The ways in which nearly every client writes `:authority` of this endpoint; none for a wildcard. */
export function plainAuthorities({ names, wildcard, port }: Authority): string[] {
  if (wildcard) return [];
  return port === undefined || port === 80 ? [...names] : names.map((name) => `${name}:${port}`);
}

/** `:authority` of any host on this port, as a string match of Envoy's. */
export function anyAuthority(port: number): object {
  return port === 80 ? { safe_regex: { regex: '([^:]*|\\[[^\\]]*\\])(:80)?' } } : { suffix: `:${port}` };
}

/** A missing port counts as 80: the listener is plain HTTP. */
function portExpression(port: number | undefined): string {
  if (port === undefined) return '(:(0|[1-9][0-9]{0,4}))?';
  return port === 80 ? '(:80)?' : `:${port}`;
}

/** A prefix rule covers what it names and everything below it: /v1 and /v1/ cover /v1 and /v1/x, not /v10. */
export function withoutSlash(prefix: string): string {
  return prefix.replace(/\/$/, '');
}

/** The path part of a route's match; Envoy compares it with the path without its query. undefined = every path. */
export function pathMatch(path: PathRule | undefined): object {
  switch (path?.kind) {
    case undefined:
      return { prefix: '/' };
    case 'exact':
      return { path: path.value };
    case 'regex':
      return { safe_regex: { regex: path.value } };
    case 'prefix': {
      const bare = withoutSlash(path.value);
      // Envoy takes no separated prefix that ends with a slash, as /v1// still does.
      if (bare === '') return { prefix: '/' };
      return bare.endsWith('/')
        ? { safe_regex: { regex: `${literal(bare)}(/.*)?` } }
        : { path_separated_prefix: bare };
    }
  }
}

/**
 * Whether a regular expression may match a question mark. Envoy's matcher sees path and query as one value, so such a
 * rule would decide by the query there. Errs on the side of true.
 */
export function mayReachQuery(regex: string): boolean {
  const classes = regex.match(/\[\^?\]?(?:\\.|[^\]\\])*\]/g) ?? [];
  const outside = regex.replace(/\[\^?\]?(?:\\.|[^\]\\])*\]/g, '').replace(/\\[.^$*+()[\]{}|/\\-]/g, '');
  if (/\.|\\(?![dwsb])/.test(outside)) return true;
  return classes.some((c) => {
    if (/\\(?![dws.\]^\\/-])/.test(c)) return true;
    // A range may span it; a class that names it may mean it.
    const inside = c.slice(c.startsWith('[^') ? 2 : 1, -1);
    return c.startsWith('[^') ? !inside.includes('?') : /[?]|[^a-zA-Z0-9]-[^\]]/.test(inside);
  });
}

/** The regular expressions among them of which that is so. */
export function reachingQuery(paths: readonly PathRule[] | undefined): readonly string[] {
  return (paths ?? [])
    .filter(({ kind, value }) => kind === 'regex' && mayReachQuery(value))
    .map(({ value }) => value);
}

/** The one string match of `:method`. */
export function methodMatch(methods: readonly string[]): object {
  return methods.length === 1
    ? { exact: methods[0] }
    : { safe_regex: { regex: methods.map(literal).join('|') } };
}

/**
 * A path, before its query, that two parsers may read differently, as policy/path.ts says it: an empty segment; one of
 * dots, also encoded; an encoded slash, backslash or NUL; a parameter, a backslash, anything but printable ASCII.
 */
export const AMBIGUOUS_PATH = '[^?]*(//|/(\\.|%2[eE]){1,2}(/|\\?|$)|;|\\\\|%2[fF]|%5[cC]|%00|[^!-~]).*';

/**
 * Printable ASCII up to the query, which every path has that is not ambiguous. Beside AMBIGUOUS_PATH since no expression
 * matches bytes that are no UTF-8, and what does not match must not get a credential.
 */
export const PLAIN_PATH = '/[!->@-~]*(\\?.*)?';

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
