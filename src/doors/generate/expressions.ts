// Hosts, ports, paths and methods as RE2 expressions, for routes and for the push door's matcher alike, so that the two
// cannot differ. They say what policy/ says; a test runs one table through both.
import type { PathRule } from '../../config/config.ts';
import type { PlannedEndpoint } from './plan.ts';

/** `:authority` of requests to this endpoint, any case, one trailing dot allowed, as the whole value. */
export function authorityExpression(endpoint: PlannedEndpoint): string {
  const names = endpoint.names.map(literal).join('|');
  const labels = endpoint.wildcard ? '([a-z0-9_-]+\\.)+' : '';
  return `(?i)${labels}(${names})\\.?${portExpression(endpoint.port)}`;
}

/** `:authority` of any host on this port. */
export function anyAuthorityExpression(port: number): string {
  return port === 80 ? '[^:]*(:80)?' : `.*:${port}`;
}

/** A missing port counts as 80: the listener is plain HTTP. */
function portExpression(port: number | undefined): string {
  if (port === undefined) return '(:[0-9]+)?';
  return port === 80 ? '(:80)?' : `:${port}`;
}

/** The path without its query, as the whole value. */
export function pathExpression(path: PathRule): string {
  switch (path.kind) {
    case 'exact':
      return literal(path.value);
    case 'regex':
      return path.value;
    case 'prefix': {
      // At segment borders: /v1 covers /v1/x and not /v10.
      const bare = path.value.replace(/\/$/, '');
      return bare === '' ? '/.*' : `${literal(bare)}(/.*)?`;
    }
  }
}

/** `:path`, which carries the query, as the whole value. */
export function anyPathExpression(paths: readonly PathRule[] | undefined): string {
  if (paths === undefined) return '/.*';
  return `(${paths.map(pathExpression).join('|')})(\\?.*)?`;
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

/** As the whole value of `:method`. */
export function methodExpression(methods: readonly string[]): string {
  return methods.map(literal).join('|');
}

/**
 * A path, before its query, that two parsers may read differently: an empty or dotted segment, an encoded slash or
 * backslash, a parameter, a backslash, NUL.
 */
export const AMBIGUOUS_PATH = '[^?]*(//|/\\.{1,2}(/|\\?|$)|;|\\\\|%2[fF]|%5[cC]|%00|\\x00).*';

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
