// Outbound configuration to the table that Checks read. First match in file order wins; see path-index.ts and
// host-index.ts for what keeps 10,000 policies as fast as ten.
import type { Config, OutboundConfig } from '../config/config.ts';
import { type Host, parseHost } from './host.ts';
import { coversHost, HostIndex } from './host-index.ts';
import { cutQuery, isAmbiguousPath } from './path.ts';
import type { PathIndex } from './path-index.ts';
import type { Match, Policy, PolicyTable } from './policy.ts';
import { secretName } from './secret-name.ts';

// Hosts repeat; taking them apart and walking their labels is half of a match. Cleared when full: a flood of made-up
// hosts costs time, not memory.
const REMEMBERED_HOSTS = 4_096;

interface KnownHost {
  readonly host: Host;
  readonly indexes: readonly PathIndex[];
  /** Covers everything of this host: neither path nor method is looked at. */
  readonly only: Policy | undefined;
}

export function compilePolicies(
  config: Pick<Config, 'outbound' | 'unmatched' | 'ambiguousPath'>,
): PolicyTable {
  const { unmatched, ambiguousPath } = config;
  const policies = config.outbound.map(compilePolicy);
  const names = new Map(policies.map((policy) => [policy.name, policy]));
  const hosts = new HostIndex();
  config.outbound.forEach((outbound, i) => {
    for (const pattern of outbound.match.hosts) hosts.at(pattern).add(policies[i]!, outbound.match);
  });

  const known = new Map<string, Map<string, KnownHost | undefined>>();
  function lookUp(authority: string, scheme: string): KnownHost | undefined {
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

  function match(authority: string, method: string, rawPath: string, scheme: string): Match {
    const entry = lookUp(authority, scheme);
    if (entry === undefined || entry.indexes.length === 0) return undefined;
    if (entry.only !== undefined) return entry.only;
    const { indexes } = entry;
    const path = cutQuery(rawPath);
    if (ambiguousPath !== 'exact_bytes' && isAmbiguousPath(path)) {
      return matchAmbiguous(indexes, method);
    }
    let best: Policy | undefined;
    for (const index of indexes) best = earlier(best, index.find(path, method));
    if (best !== undefined) return best;
    for (const index of indexes) best = earlier(best, index.findByRegex(path, method));
    return best;
  }

  // It matches no path rule, and no rule after one: the path rule may have been meant. Rules before it are certain.
  function matchAmbiguous(indexes: readonly PathIndex[], method: string): Match {
    let certain: Policy | undefined;
    let firstPathRule = Number.POSITIVE_INFINITY;
    for (const index of indexes) {
      certain = earlier(certain, index.findForEveryPath(method));
      firstPathRule = Math.min(firstPathRule, index.firstPathRule);
    }
    if (certain !== undefined && certain.index < firstPathRule) return certain;
    if (firstPathRule === Number.POSITIVE_INFINITY) return undefined;
    return ambiguousPath === 'deny' ? 'ambiguous_path' : undefined;
  }

  return {
    policies,
    unmatched,
    byName: (name) => names.get(name),
    match,
    coversHost(policy, authority, scheme) {
      const host = lookUp(authority, scheme)?.host;
      return (
        host !== undefined && config.outbound[policy.index]!.match.hosts.some((p) => coversHost(p, host))
      );
    },
  };
}

function earlier(a: Policy | undefined, b: Policy | undefined): Policy | undefined {
  if (a === undefined) return b;
  return b === undefined || a.index < b.index ? a : b;
}

function compilePolicy(outbound: OutboundConfig, index: number): Policy {
  const { name, inject, onFailure, healOn } = outbound;
  const { source, header, prefix } = inject;
  return { index, name, source, header, prefix, onFailure, healOn, secretName: secretName(source, prefix) };
}
