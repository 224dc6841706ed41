// Which policies take requests before another, for what Envoy decides by rules of its own in front of the routes.
import type { HostPattern, PathRule } from '../../config/config.ts';
import { coversNames } from '../../policy/host-index.ts';

/** A policy of either side. */
export interface Taking {
  readonly match: {
    readonly hosts: readonly HostPattern[] | undefined;
    readonly methods: readonly string[] | undefined;
    readonly paths: readonly PathRule[] | undefined;
  };
  /** One that changes nothing takes no request from those behind it. */
  readonly takes: boolean;
}

/**
 * What is tried before a policy, of those with a host in common: as in policy/, regular expressions after all other paths. A
 * policy with both is taken for one that has its place in the file.
 */
export function triedBefore<T extends Taking>(policies: readonly T[], index: number): readonly T[] {
  const policy = policies[index]!;
  const isLast = policy.match.paths?.every(isRegex) ?? false;
  return policies.flatMap((one, i) => {
    if (i === index || !one.takes || !haveHostInCommon(one, policy)) return [];
    if (i < index && isLast) return [one];
    if (i > index && !isLast) return [];
    const paths = one.match.paths?.filter((path) => !isRegex(path));
    return paths?.length === 0 ? [] : [{ ...one, match: { ...one.match, paths } }];
  });
}

function isRegex({ kind }: PathRule): boolean {
  return kind === 'regex';
}

/** Whether they have a host in common; ports are not looked at. */
export function haveHostInCommon(a: Taking, b: Taking): boolean {
  const [hosts, others] = [a.match.hosts, b.match.hosts];
  if (hosts === undefined || others === undefined) return true;
  return hosts.some((one) => others.some((two) => coversNames(one, two) || coversNames(two, one)));
}
