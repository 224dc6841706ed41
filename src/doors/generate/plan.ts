// The plan of a generated configuration: which door serves each policy, and per host the rules in the order in which
// they are tried. Pure, without a word of Envoy's, so that both doors and both forms are built from one table.
import type { Config, HostPattern, OutboundConfig, PathRule } from '../../config/config.ts';
import { secretName } from '../../policy/secret-name.ts';
import { pushRefusals } from './push-refusals.ts';

export type ServingDoor = 'check' | 'push';
export type Door = ServingDoor | 'both';

export interface PlannedPolicy {
  readonly name: string;
  readonly source: string;
  readonly config: OutboundConfig;
  readonly door: ServingDoor;
  readonly secretName: string;
}

/** One virtual host. */
export interface PlannedHost {
  /** The longest name; with `*.` in front for a wildcard. */
  readonly name: string;
  /** All names of it (the short forms of a Kubernetes service), without `*.`. */
  readonly names: readonly string[];
  readonly wildcard: boolean;
  readonly endpoints: readonly PlannedEndpoint[];
  /** First match wins. */
  readonly rules: readonly PlannedRule[];
}

/** Where requests to a host on a port go. */
export interface PlannedEndpoint {
  readonly host: string;
  readonly names: readonly string[];
  readonly wildcard: boolean;
  /** undefined = every port that no other endpoint of the host names. */
  readonly port: number | undefined;
}

export interface PlannedRule {
  readonly policy: PlannedPolicy;
  readonly endpoint: PlannedEndpoint;
  /** undefined = every path. */
  readonly path: PathRule | undefined;
  /** A path rule of this host came before or is this one, so an ambiguous path matches it no more. */
  readonly afterPathRule: boolean;
}

export interface Plan {
  readonly policies: readonly PlannedPolicy[];
  readonly hosts: readonly PlannedHost[];
}

/** Every policy is served by push where it can be and by check otherwise when `door` is both. */
export function planDoors(config: Config, door: Door): Plan {
  const policies = config.outbound.map(
    (outbound): PlannedPolicy => ({
      name: outbound.name,
      source: outbound.inject.source,
      config: outbound,
      door: door === 'both' ? (pushRefusals(config, outbound).length === 0 ? 'push' : 'check') : door,
      secretName: secretName(outbound.inject.source, outbound.inject.prefix),
    }),
  );
  return { policies, hosts: hostsOf(config).map((patterns) => planHost(patterns, policies)) };
}

/** Patterns of one virtual host: the same name, or the short forms of one service; ports may differ. */
function hostsOf(config: Config): HostPattern[][] {
  const groups = new Map<string, HostPattern[]>();
  for (const outbound of config.outbound) {
    const names = outbound.match.hosts.filter((h) => !h.wildcard).map((h) => h.name);
    for (const host of outbound.match.hosts) {
      const key = host.wildcard ? `*.${host.name}` : longForm(host.name, names);
      const group = groups.get(key) ?? [];
      group.push(host);
      groups.set(key, group);
    }
  }
  return mergeShortForms(groups);
}

/** `orders.prod` beside `orders.prod.svc.cluster.local` is the same service, so it shares its virtual host. */
function longForm(name: string, names: readonly string[]): string {
  return names.find((n) => n.startsWith(`${name}.`) && n.endsWith('.svc.cluster.local')) ?? name;
}

/** Envoy refuses a domain in two virtual hosts, so a name that came in as two keys keeps its first. */
function mergeShortForms(groups: ReadonlyMap<string, HostPattern[]>): HostPattern[][] {
  const owner = new Map<string, string>();
  for (const [key, patterns] of groups) {
    for (const p of patterns) if (!p.wildcard && !owner.has(p.name)) owner.set(p.name, key);
  }
  const merged = new Map<string, HostPattern[]>();
  for (const [key, patterns] of groups) {
    for (const p of patterns) {
      const home = p.wildcard ? key : owner.get(p.name)!;
      merged.set(home, [...(merged.get(home) ?? []), p]);
    }
  }
  return [...merged.values()];
}

function planHost(patterns: readonly HostPattern[], policies: readonly PlannedPolicy[]): PlannedHost {
  const wildcard = patterns[0]!.wildcard;
  const names = [...new Set(patterns.map((p) => p.name))].sort((a, b) => b.length - a.length);
  const name = `${wildcard ? '*.' : ''}${names[0]}`;
  // A wildcard of another policy may cover this host with a port of its own.
  const covering = policies.flatMap((policy) =>
    policy.config.match.hosts
      .filter((p) => covers(p, names[0]!, wildcard))
      .map((p) => ({ policy, port: p.port })),
  );
  const ports = [...new Set(covering.map((c) => c.port))];
  // The endpoint of every port comes last, since its match would hide the others.
  ports.sort((a, b) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY));
  const endpoints = ports.map((port): PlannedEndpoint => ({ host: name, names, wildcard, port }));

  const rules: PlannedRule[] = [];
  let afterPathRule = false;
  for (const { policy, port } of dedupe(covering)) {
    const paths = policy.config.match.paths;
    if (paths !== undefined) afterPathRule = true;
    // A rule for every port must reach the endpoint of the port that was asked for.
    const reached = port === undefined ? endpoints : endpoints.filter((e) => e.port === port);
    for (const path of paths ?? [undefined]) {
      for (const endpoint of reached) rules.push({ policy, endpoint, path, afterPathRule });
    }
  }
  return { name, names, wildcard, endpoints, rules };
}

/** Short forms repeat each port. */
function dedupe<T extends { policy: PlannedPolicy; port: number | undefined }>(items: readonly T[]): T[] {
  const seen = new Set<string>();
  return items.filter(({ policy, port }) => {
    const key = `${policy.name} ${port}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** Whether every host of the virtual host (`name`, or all names below it) is matched by the pattern. */
function covers(pattern: HostPattern, name: string, wildcard: boolean): boolean {
  if (!pattern.wildcard) return !wildcard && pattern.name === name;
  return name.endsWith(`.${pattern.name}`) || (wildcard && name === pattern.name);
}
