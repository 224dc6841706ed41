// The plan of a generated configuration: which door serves each policy, and per host the rules in the order in which
// they are tried. Pure, without a word of Envoy's, so that both doors and both forms are built from one table.
import type { Config, OutboundConfig, PathRule, ResilienceConfig } from '../../config/config.ts';
import { coversNames } from '../../policy/host-index.ts';
import { compileInjection, type InjectedHeader } from '../../policy/injection.ts';
import { bestDoor, type ServingDoor } from './best-door.ts';
import { pushRefusals } from './push-refusals.ts';

export type Door = ServingDoor | 'both' | 'best';

export interface PlannedPolicy {
  readonly name: string;
  readonly source: string;
  readonly config: OutboundConfig;
  readonly door: ServingDoor;
  readonly headers: readonly InjectedHeader[];
}

/** One virtual host. */
export interface PlannedHost {
  /** The longest name; with `*.` in front for a wildcard. */
  readonly name: string;
  /** All names of it (the short forms of a Kubernetes service), without `*.`. */
  readonly names: readonly string[];
  readonly wildcard: boolean;
  readonly endpoints: readonly PlannedEndpoint[];
  /** First match wins: as in policy/, those with a regular expression after all others. */
  readonly rules: readonly PlannedRule[];
}

/** Where requests to a host on a port go. */
export interface PlannedEndpoint {
  readonly host: string;
  readonly names: readonly string[];
  readonly wildcard: boolean;
  /** undefined = every port that no other endpoint of the host names. */
  readonly port: number | undefined;
  readonly resilience: ResilienceConfig | undefined;
}

export interface PlannedRule {
  readonly policy: PlannedPolicy;
  readonly endpoint: PlannedEndpoint;
  /** That its policy names: of the endpoint, or undefined = every one. */
  readonly port: number | undefined;
  /** undefined = every path. */
  readonly path: PathRule | undefined;
  /** A path rule of this endpoint came before or is this one, so an ambiguous path matches it no more. */
  readonly afterPathRule: boolean;
}

export interface Plan {
  readonly policies: readonly PlannedPolicy[];
  readonly hosts: readonly PlannedHost[];
}

export function planDoors(config: Config, door: Door): Plan {
  const policies = config.outbound
    .filter(({ rollout }) => rollout.mode !== 'off')
    .map(
      (outbound): PlannedPolicy => ({
        name: outbound.name,
        source: outbound.inject.source,
        config: outbound,
        door: plannedDoor(config, outbound, door),
        headers: compileInjection(outbound.inject).headers,
      }),
    );
  const hosts = planHosts(policies);
  const planned = new Set(hosts.flatMap(({ rules }) => rules.map(({ policy }) => policy)));
  return { policies: policies.filter((policy) => planned.has(policy)), hosts };
}

/** A denial in shadow: what it would deny goes on as without it. */
export function isWatching({ deny, rollout }: OutboundConfig): boolean {
  return deny !== undefined && rollout.mode === 'shadow';
}

/**
 * Through push nothing is injected in shadow, so the check door watches in its place. It alone refuses before anything of a
 * request goes to an upstream.
 */
function plannedDoor(config: Config, outbound: OutboundConfig, door: Door): ServingDoor {
  if (outbound.deny !== undefined) return 'check';
  const serving = servingDoor(config, outbound, door);
  return serving === 'push' && outbound.rollout.mode === 'shadow' ? 'check' : serving;
}

/** both: push where Envoy can decide alone, check otherwise. best: what serves the policy best. */
function servingDoor(config: Config, outbound: OutboundConfig, door: Door): ServingDoor {
  if (door === 'best') return bestDoor(config, outbound).door;
  if (door === 'both') return pushRefusals(config, outbound).length === 0 ? 'push' : 'check';
  return door;
}

/** A policy that covers a host, on this port or (undefined) on every port. */
interface Coverage {
  readonly policy: PlannedPolicy;
  readonly port: number | undefined;
}

interface NamedHost {
  readonly name: string;
  readonly wildcard: boolean;
  readonly covering: readonly Coverage[];
}

/** Virtual hosts in the order in which the file names them. */
function planHosts(policies: readonly PlannedPolicy[]): PlannedHost[] {
  const hosts = new Map<string, NamedHost>();
  const naming = policiesByName(policies);
  for (const { name, wildcard } of policies.flatMap((policy) => policy.config.match.hosts)) {
    const key = `${wildcard ? '*.' : ''}${name}`;
    if (!hosts.has(key)) hosts.set(key, { name, wildcard, covering: coverage(naming, name, wildcard) });
  }
  const long = [...hosts].filter(([key]) => key.endsWith('.svc.cluster.local'));
  const groups = new Map<string, NamedHost[]>();
  for (const [key, host] of hosts) {
    const group = longForm(host, long) ?? key;
    groups.set(group, [...(groups.get(group) ?? []), host]);
  }
  return [...groups.values()].map(planHost);
}

/** By each name that stands in their patterns, with the place of each in the file. */
function policiesByName(policies: readonly PlannedPolicy[]): ReadonlyMap<string, Map<number, PlannedPolicy>> {
  const found = new Map<string, Map<number, PlannedPolicy>>();
  for (const [place, policy] of policies.entries()) {
    for (const { name } of policy.config.match.hosts)
      found.set(name, (found.get(name) ?? new Map()).set(place, policy));
  }
  return found;
}

/** In file order: the first match wins. */
function coverage(naming: ReturnType<typeof policiesByName>, name: string, wildcard: boolean): Coverage[] {
  const labels = name.split('.');
  const named = labels.flatMap((_, i) => [...(naming.get(labels.slice(i).join('.')) ?? [])]);
  const policies = [...new Map(named.sort(([a], [b]) => a - b)).values()];
  return policies.flatMap((policy) => {
    const patterns = policy.config.match.hosts.filter((pattern) => coversNames(pattern, { name, wildcard }));
    return [...new Set(patterns.map((pattern) => pattern.port))].map((port) => ({ policy, port }));
  });
}

/** `orders.prod` beside `orders.prod.svc.cluster.local` with the same policies is one service: one virtual host. */
function longForm(host: NamedHost, long: readonly (readonly [string, NamedHost])[]): string | undefined {
  if (host.wildcard) return undefined;
  const signature = (h: NamedHost) => JSON.stringify(h.covering.map((c) => [c.policy.name, c.port ?? null]));
  const beginning = `${host.name}.`;
  for (const [key, other] of long) {
    if (key.startsWith(beginning) && signature(other) === signature(host)) return key;
  }
  return undefined;
}

function planHost(group: readonly NamedHost[]): PlannedHost {
  const { wildcard } = group[0]!;
  const covering = group[0]!.covering.filter(({ policy }, i, all) =>
    isSeen(
      policy,
      all.filter((other, j) => j > i || hasRegex(other.policy)),
    ),
  );
  const names = group.map((h) => h.name).sort((a, b) => b.length - a.length);
  const name = `${wildcard ? '*.' : ''}${names[0]}`;
  const ports = [...new Set(covering.map((c) => c.port))];
  // The endpoint of every port comes last, since its match would hide the others.
  ports.sort((a, b) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY));
  // The same in all of them, or the generator refuses.
  const resilience = covering.find(({ policy }) => !policy.config.deny)?.policy.config.resilience;
  const endpoints = ports.map((port): PlannedEndpoint => ({ host: name, names, wildcard, port, resilience }));

  const rules: PlannedRule[] = [];
  const regexRules: PlannedRule[] = [];
  const behindPathRule = new Set<PlannedEndpoint>();
  for (const { policy, port } of covering) {
    const { paths } = policy.config.match;
    // A rule for every port must reach the endpoint of the port that was asked for.
    const reached = port === undefined ? endpoints : endpoints.filter((e) => e.port === port);
    const saysPaths = paths !== undefined && !isWatching(policy.config);
    if (saysPaths) for (const endpoint of reached) behindPathRule.add(endpoint);
    for (const path of paths ?? [undefined]) {
      const ofKind = path?.kind === 'regex' ? regexRules : rules;
      for (const endpoint of reached) {
        ofKind.push({ policy, endpoint, port, path, afterPathRule: behindPathRule.has(endpoint) });
      }
    }
  }
  // As in policy/path-index.ts: regular expressions are tried after all others.
  return { name, names, wildcard, endpoints, rules: [...rules, ...regexRules] };
}

function hasRegex({ config }: PlannedPolicy): boolean {
  return config.match.paths?.some(({ kind }) => kind === 'regex') ?? false;
}

/**
 * Whether a policy has routes of its own. A denial in shadow has none where they would have to go several ways: push and
 * attempt have a cluster for each policy.
 */
function isSeen(policy: PlannedPolicy, later: readonly Coverage[]): boolean {
  if (!isWatching(policy.config)) return true;
  const behind = new Set(later.flatMap((one) => (one.policy.config.deny ? [] : [one.policy])));
  return behind.size < 2 || [...behind].every(({ door }) => door === 'check');
}

/** Rules with a credential that a denial hides, one a policy. */
export function rulesBehind(rules: readonly PlannedRule[], denial: PlannedRule): readonly PlannedRule[] {
  if (denial.policy.config.deny === undefined) return [];
  const later = rules
    .slice(rules.indexOf(denial))
    .filter(({ policy, endpoint }) => endpoint === denial.endpoint && policy.config.deny === undefined);
  return later.filter(({ policy }, i) => later.findIndex((one) => one.policy === policy) === i);
}

/** Of one policy, tried one after another. */
export type RulesTogether = readonly [PlannedRule, ...PlannedRule[]];

/** In the order in which they are tried. */
export function rulesTogether(rules: readonly PlannedRule[]): readonly RulesTogether[] {
  const together = Map.groupBy(rules, ({ policy, path }) => `${path?.kind === 'regex'} ${policy.name}`);
  return [...together.values()] as unknown as RulesTogether[];
}
