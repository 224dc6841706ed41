// Policies that no request reaches, since one before them has all of theirs. The file is valid, so this is told and not refused.
import { isWithin } from './bound-hosts.ts';
import type { Config, HostPattern, PathRule } from './config.ts';

/** undefined = every host, method, path. */
interface Match {
  readonly hosts?: readonly HostPattern[] | undefined;
  readonly methods: readonly string[] | undefined;
  readonly paths: readonly PathRule[] | undefined;
}

interface Named {
  readonly name: string;
  readonly match: Match;
}

/** One text a policy, for people. */
export function unreached({ outbound, inbound }: Config): readonly string[] {
  // One that is off is as if it were not there, and a denial in shadow only watches.
  const isPassedOver = ({ rollout: { mode }, deny }: Config['outbound'][number]) =>
    mode === 'off' || (deny !== undefined && mode === 'shadow');
  return [
    ...among(outbound, (i) => isPassedOver(outbound[i]!), 'outbound'),
    ...among(inbound?.policies ?? [], () => false, 'inbound.policies'),
  ];
}

function among(policies: readonly Named[], isPassedOver: (index: number) => boolean, key: string): string[] {
  return policies.flatMap(({ name, match }, i) => {
    const before = policies.findIndex((one, j) => j < i && !isPassedOver(j) && hasAll(one.match, match));
    if (before === -1) return [];
    const first = `${key}[${before}] (${policies[before]!.name})`;
    return [`${key}[${i}]: no request reaches ${name}: ${first} comes first and matches all of its requests`];
  });
}

/** Whether `first` matches whatever `later` does. */
function hasAll(first: Match, later: Match): boolean {
  const { hosts, methods, paths } = first;
  return (
    (hosts === undefined ||
      (later.hosts?.every((asked) => hosts.some((one) => isWithin(asked, one))) ?? false)) &&
    (methods === undefined || (later.methods?.every((asked) => methods.includes(asked)) ?? false)) &&
    (paths === undefined ||
      (later.paths?.every((asked) => paths.some((one) => hasPath(one, asked))) ?? false))
  );
}

function hasPath(first: PathRule, later: PathRule): boolean {
  // Regular expressions are tried last, whatever their place: they take nothing from the other rules.
  if (first.kind === 'regex' || later.kind === 'regex') return first.value === '/' && first.kind === 'prefix';
  if (first.kind === 'exact') return later.kind === 'exact' && later.value === first.value;
  const prefix = first.value.replace(/\/$/, '');
  return later.value === prefix || later.value.startsWith(`${prefix}/`);
}
