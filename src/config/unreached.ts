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

const EVERY_HOST = '';

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

/** Compared are those alone that name the host or what it is below: each with each took 8 s for 10,000. */
function among(policies: readonly Named[], isPassedOver: (index: number) => boolean, key: string): string[] {
  const byName = new Map<string, number[]>();
  return policies.flatMap(({ name, match }, i) => {
    const labels = match.hosts?.[0]?.name.split('.') ?? [];
    const near = [EVERY_HOST, ...labels.map((_, at) => labels.slice(at).join('.'))];
    const before = near
      .flatMap((one) => byName.get(one) ?? [])
      .filter((j) => hasAll(policies[j]!.match, match))
      .reduce((least, j) => Math.min(least, j), i);
    if (!isPassedOver(i)) {
      for (const one of new Set(match.hosts?.map((host) => host.name) ?? [EVERY_HOST])) {
        const known = byName.get(one);
        if (known === undefined) byName.set(one, [i]);
        else known.push(i);
      }
    }
    if (before === i) return [];
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
