// The hosts of the policies as Istio knows them: one entry a service, with the one cluster that a door can change.
import type { ResilienceConfig } from '../../../config/config.ts';
import { reachingQuery } from '../expressions.ts';
import {
  type Plan,
  type PlannedEndpoint,
  type PlannedHost,
  type PlannedPolicy,
  type PlannedRule,
  rulesTogether,
} from '../plan.ts';
import { resilienceRefusals } from '../resilience.ts';

export interface IstioHost {
  /** Fully qualified: as Istio names services, clusters and virtual hosts. */
  readonly name: string;
  /** undefined = every port of the service. */
  readonly port: number | undefined;
  /** Whether Istio knows it by itself; else a ServiceEntry has to say that it is there. */
  readonly inCluster: boolean;
  readonly resilience: ResilienceConfig | undefined;
  /** In the order in which they are tried. */
  readonly rules: readonly PlannedRule[];
  /** Among them those for port 80 alone, which a request means whose host has no port, wherever it goes. */
  readonly tried: readonly PlannedRule[];
  /** Of the rules, each once. */
  readonly policies: readonly PlannedPolicy[];
}

export function istioHosts(plan: Plan): readonly IstioHost[] {
  return plan.hosts
    .filter(({ wildcard }) => !wildcard)
    .flatMap((host) =>
      everyPortFirst(host.endpoints).map((endpoint): IstioHost => {
        const rules = host.rules.filter((rule) => rule.endpoint === endpoint);
        return {
          name: host.name,
          port: endpoint.port,
          resilience: endpoint.resilience,
          inCluster: isInCluster(host.name),
          rules,
          tried: host.rules.filter((rule) => rule.endpoint === endpoint || rule.port === 80),
          policies: [...new Set(rules.map(({ policy }) => policy))],
        };
      }),
    );
}

/** Its patches reach the cluster and the virtual host of one port too, where those for that port have the last word. */
function everyPortFirst(endpoints: readonly PlannedEndpoint[]): readonly PlannedEndpoint[] {
  return [...endpoints].sort((a, b) => Number(a.port !== undefined) - Number(b.port !== undefined));
}

/** Istio patches the routes of a host as one: whoever heals decides. */
export function policyOfRetries({ policies }: IstioHost): PlannedPolicy {
  const injecting = policies.filter(({ config }) => config.deny === undefined);
  return injecting.find(({ door }) => door !== 'check') ?? injecting[0] ?? policies[0]!;
}

function isInCluster(name: string): boolean {
  return name.endsWith('.svc.cluster.local');
}

/** Why Istio cannot do what the plan says, each with the way out. */
export function istioRefusals(plan: Plan): readonly string[] {
  return [
    ...resilienceRefusals(plan),
    ...plan.hosts.filter(({ wildcard }) => wildcard).map(({ name }) => wildcardRefusal(name)),
    ...istioHosts(plan).flatMap((host) => [
      ...clusterRefusals(host),
      ...earlierRefusals(host),
      ...portRefusals(host),
    ]),
    ...plan.hosts.filter((host) => !host.wildcard && isShort(host)).map(shortRefusal),
  ];
}

function wildcardRefusal(name: string): string {
  return `host ${name}: Istio sends wildcard hosts to ORIGINAL_DST or passthrough clusters, which must never carry a credential; name the hosts one by one`;
}

function isShort({ name }: PlannedHost): boolean {
  return !name.includes('.');
}

function shortRefusal({ name }: PlannedHost): string {
  return `host ${name}: Istio knows services by their full name; use services: [${name}.NAMESPACE]`;
}

/** The app says http://HOST, and TLS to 443 begins behind it: no request names that port. */
function portRefusals({ name, port, inCluster }: IstioHost): readonly string[] {
  if (inCluster || port !== 443) return [];
  return [
    `host ${name}: apps call http://${name}, whose port is 80, and the sidecar makes TLS to 443 of it; leave :443 out`,
  ];
}

/** A cluster of Istio serves a host as a whole, so what changes the cluster must be one thing. */
function clusterRefusals({ name, policies }: IstioHost): readonly string[] {
  const changing = policies.filter(({ door, config }) => door !== 'check' && config.deny === undefined);
  const reasons: string[] = [];
  const names = changing.map((policy) => policy.name).join(', ');
  if (new Set(changing.map(({ source }) => source)).size > 1) {
    reasons.push(
      `host ${name}: ${names} inject several sources into one cluster; serve all but one by check`,
    );
  }
  if (new Set(changing.map(({ door }) => door)).size > 1) {
    reasons.push(`host ${name}: ${names} want push and attempt in one cluster; use one door for the host`);
  }
  if (changing.filter(({ door }) => door === 'attempt').length > 1) {
    reasons.push(
      `host ${name}: ${names} are served by attempt, where one cluster belongs to one policy; give them one policy or use check`,
    );
  }
  return reasons;
}

/**
 * The injector of a cluster has to leave an earlier policy's requests alone, and sees path and query as one value: it would put
 * its own credential in place of what check gave them.
 */
function earlierRefusals({ name, rules, tried }: IstioHost): readonly string[] {
  return rulesTogether(tried).flatMap((own, i, all) => {
    const [{ policy }] = own;
    if (policy.door !== 'push' || !own.some((rule) => rules.includes(rule))) return [];
    const earlier = all.slice(0, i).flat();
    return earlier.flatMap((rule) =>
      (rule.policy === policy || rule.policy.config.deny ? [] : reachingQuery(rule.path && [rule.path])).map(
        (value) =>
          `host ${name}: regex ${value} of ${rule.policy.name} could match into the query, so that ${policy.name} by push would take its requests; write [^?/] for . or serve ${policy.name} by check`,
      ),
    );
  });
}
