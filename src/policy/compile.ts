// Outbound configuration to the table that Checks read. First match in file order wins; see route-table.ts.
import type { Config, OutboundConfig } from '../config/config.ts';
import type { Instead } from './guard/versions.ts';
import { coversHost } from './host-index.ts';
import { compileInjection } from './injection.ts';
import type { Policy, PolicyTable } from './policy.ts';
import { compileRollout } from './rollout.ts';
import { createRouteTable } from './route-table.ts';
import { namesOf, readHeaders } from './subject-headers.ts';

/**
 * `pod` tells this process from others, for policies that are in force for a share of the pods. `insteads`: of the guard, by
 * policy.
 */
export function compilePolicies(
  config: Pick<Config, 'outbound' | 'unmatched' | 'ambiguousPath' | 'tracing'> &
    Partial<Pick<Config, 'mode'>>,
  pod = '',
  insteads: ReadonlyMap<string, Instead> = new Map(),
): PolicyTable {
  const { unmatched, ambiguousPath } = config;
  const policies = config.outbound.map((outbound, index) =>
    compilePolicy(outbound, index, config.mode, pod, insteads),
  );
  const names = new Map(policies.map((policy) => [policy.name, policy]));
  // One that is off is as if it were not there, but for its place in the file and its name in a route's mark.
  const on = config.outbound.flatMap(({ match, rollout }, i) =>
    rollout.mode === 'off' ? [] : [{ policy: policies[i]!, match }],
  );
  const isWatching = ({ denies, rollout }: Policy): boolean => denies !== undefined && rollout !== undefined;
  const inForce = on.filter(({ policy }) => !isWatching(policy));
  const routes = createRouteTable(inForce, ambiguousPath);
  const all = inForce.length === on.length ? undefined : createRouteTable(on, ambiguousPath);
  return {
    policies,
    unmatched,
    readHeaders: readHeaders(config),
    byName: (name) => names.get(name),
    match: routes.match,
    wouldDeny:
      all &&
      ((...request) => {
        const first = all.match(...request);
        return first !== undefined && first !== 'ambiguous_path' && isWatching(first) ? first : undefined;
      }),
    coversHost(policy, authority, scheme) {
      const host = routes.hostOf(authority, scheme);
      return (
        host !== undefined && config.outbound[policy.index]!.match.hosts.some((p) => coversHost(p, host))
      );
    },
  };
}

function compilePolicy(
  outbound: OutboundConfig,
  index: number,
  mode: Config['mode'] | undefined,
  pod: string,
  insteads: ReadonlyMap<string, Instead>,
): Policy {
  const { name, inject, deny, subject, proof, onFailure, rateLimit, healOn } = outbound;
  const injection = compileInjection(inject);
  const removes = namesOf(subject).filter((one) => !injection.headers.some((header) => header.name === one));
  return {
    index,
    name,
    denies: deny?.status,
    source: inject.source,
    injection,
    subject,
    removes,
    proof,
    plaintext: outbound.allowPlaintext === true || mode === 'development',
    onFailure,
    rateLimit,
    healOn,
    remembered: healOn !== 'off' || outbound.guard !== undefined,
    instead: insteads.get(name)?.given.inject.source,
    rollout: compileRollout(name, outbound.rollout, pod),
  };
}
