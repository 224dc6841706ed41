// Rules over host, path and method to the first one that covers a request, in file order, for both sides of the workload.
// See path-index.ts and host-index.ts for what keeps 10,000 rules as fast as ten.
import type { HostPattern } from '../config/config.ts';
import { type Host, parseHost } from './host.ts';
import { HostIndex } from './host-index.ts';
import { cutQuery, isAmbiguousPath } from './path.ts';
import type { PathIndex, PathMatch, Ranked } from './path-index.ts';

// Hosts repeat; taking them apart and walking their labels is half of a match. Cleared when full: a flood of made-up
// hosts costs time, not memory.
const REMEMBERED_HOSTS = 4_096;

interface KnownHost<P extends Ranked> {
  readonly host: Host;
  readonly indexes: readonly PathIndex<P>[];
  /** Covers everything of this host: neither path nor method is looked at. */
  readonly only: P | undefined;
}

export interface Route<P extends Ranked> {
  readonly policy: P;
  /** `hosts` undefined = every host. */
  readonly match: PathMatch & { readonly hosts: readonly HostPattern[] | undefined };
}

/** `deny_always`: such a path is answered with 400 whatever the rules are. */
export type AmbiguousPath = 'no_match' | 'deny' | 'exact_bytes' | 'deny_always';

export interface RouteTable<P extends Ranked> {
  match(authority: string, method: string, path: string, scheme: string): P | undefined | 'ambiguous_path';
  /** undefined where it is not a plain host. */
  hostOf(authority: string, scheme: string): Host | undefined;
}

export function createRouteTable<P extends Ranked>(
  routes: readonly Route<P>[],
  ambiguousPath: AmbiguousPath,
): RouteTable<P> {
  const hosts = new HostIndex<P>();
  for (const { policy, match } of routes) {
    for (const pattern of match.hosts ?? [undefined]) hosts.at(pattern).add(policy, match);
  }

  const known = new Map<string, Map<string, KnownHost<P> | undefined>>();
  function lookUp(authority: string, scheme: string): KnownHost<P> | undefined {
    let ofScheme = known.get(scheme);
    if (ofScheme === undefined) {
      if (known.size >= 8) known.clear();
      ofScheme = new Map();
      known.set(scheme, ofScheme);
    }
    const remembered = ofScheme.get(authority);
    if (remembered !== undefined) return remembered;
    const host = parseHost(authority, scheme);
    if (host === undefined) return undefined;
    const indexes = hosts.covering(host);
    const entry = { host, indexes, only: indexes.length === 1 ? indexes[0]!.only : undefined };
    if (ofScheme.size >= REMEMBERED_HOSTS) ofScheme.clear();
    ofScheme.set(authority, entry);
    return entry;
  }

  function match(authority: string, method: string, rawPath: string, scheme: string) {
    const entry = lookUp(authority, scheme);
    if (ambiguousPath === 'deny_always' && isAmbiguousPath(cutQuery(rawPath))) return 'ambiguous_path';
    if (entry === undefined || entry.indexes.length === 0) return undefined;
    if (entry.only !== undefined) return entry.only;
    const { indexes } = entry;
    const path = cutQuery(rawPath);
    if (ambiguousPath !== 'exact_bytes' && isAmbiguousPath(path)) {
      return matchAmbiguous(indexes, method);
    }
    let best: P | undefined;
    for (const index of indexes) best = earlier(best, index.find(path, method));
    if (best !== undefined) return best;
    for (const index of indexes) best = earlier(best, index.findByRegex(path, method));
    return best;
  }

  // It matches no path rule, and no rule after one: the path rule may have been meant. Rules before it are certain.
  function matchAmbiguous(
    indexes: readonly PathIndex<P>[],
    method: string,
  ): P | undefined | 'ambiguous_path' {
    let certain: P | undefined;
    let firstPathRule = Number.POSITIVE_INFINITY;
    for (const index of indexes) {
      certain = earlier(certain, index.findForEveryPath(method));
      firstPathRule = Math.min(firstPathRule, index.firstPathRule);
    }
    if (certain !== undefined && certain.index < firstPathRule) return certain;
    if (firstPathRule === Number.POSITIVE_INFINITY) return undefined;
    return ambiguousPath === 'deny' ? 'ambiguous_path' : undefined;
  }

  return { match, hostOf: (authority, scheme) => lookUp(authority, scheme)?.host };
}

function earlier<P extends Ranked>(a: P | undefined, b: P | undefined): P | undefined {
  if (a === undefined) return b;
  return b === undefined || a.index < b.index ? a : b;
}
