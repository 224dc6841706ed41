// Which hosts lead where, in Envoy's virtual hosts: those of a connection manager, of RDS and of a whole configuration. Pure.
import { type Json, json, list, objectsIn } from '../envoy-json.ts';

/** Among the clusters of a virtual host: one that the request alone names. */
export const BY_REQUEST = '(by the request)';

export interface VirtualHost {
  /** That a request can reach. */
  readonly domains: readonly string[];
  /** Without the port of a request's host. */
  readonly ignoresPort: boolean;
  /** What it stands in. */
  readonly routes: Json | undefined;
  /** Where its routes lead. */
  readonly clusters: ReadonlySet<string>;
  /** Whether every request to it is led somewhere. */
  readonly isWhole: boolean;
  /** The same for each of its copies: a dump has what is static twice. */
  readonly identity: string;
}

export function virtualHostsIn(configuration: unknown): readonly VirtualHost[] {
  return objectsIn(configuration)
    .filter(({ object }) => Array.isArray(object['domains']))
    .map(({ object, above }) => {
      const ignoresPort = above.some(
        (a) => a['ignore_port_in_host_matching'] === true || a['strip_any_host_port'] === true,
      );
      return {
        domains: list(object['domains']).filter(
          (domain): domain is string =>
            typeof domain === 'string' && !(ignoresPort && /:(\d+|\*)$/.test(domain)),
        ),
        ignoresPort,
        routes: above.at(-1),
        isWhole: list(object['routes'])
          .map(json)
          .some(({ match, route }) => isEvery(json(match)) && clustersOf(json(route)).length > 0),
        clusters: new Set(objectsIn(object).flatMap((inner) => clustersOf(json(inner.object['route'])))),
        identity: JSON.stringify(object),
      };
    });
}

/** `byName` as routeConfigurations tells them. */
export function virtualHostsOf(manager: Json, byName: ReadonlyMap<string, Json>): readonly VirtualHost[] {
  const name = json(manager['rds'])['route_config_name'];
  return virtualHostsIn(typeof name === 'string' ? [manager, byName.get(name)] : manager);
}

export function routeConfigurations(configuration: unknown): ReadonlyMap<string, Json> {
  return new Map(
    objectsIn(configuration).flatMap(({ object }) =>
      typeof object['name'] === 'string' && Array.isArray(object['virtual_hosts'])
        ? [[object['name'], object]]
        : [],
    ),
  );
}

/** Istio states case_sensitive everywhere. */
function isEvery({ prefix, case_sensitive: _, ...conditions }: Json): boolean {
  return (prefix === '/' || prefix === '') && Object.keys(conditions).length === 0;
}

function clustersOf(route: Json): string[] {
  const weighted = list(json(route['weighted_clusters'])['clusters']).map(json);
  const named = [route['cluster'], ...weighted.map((one) => one['name'])];
  const other = [route, ...weighted].some(
    (one) =>
      one['cluster_header'] || one['cluster_specifier_plugin'] || one['inline_cluster_specifier_plugin'],
  );
  return [
    ...named.filter((one): one is string => typeof one === 'string' && one !== ''),
    ...(other ? [BY_REQUEST] : []),
  ];
}

interface Hosts {
  readonly hosts: readonly string[];
  /** Why a policy for them would take requests that are led elsewhere, or nowhere. */
  readonly partial: readonly string[];
  /** What hosts say otherwise. */
  readonly wider: readonly string[];
}

/** Of a credential for all that goes `through`; `others` lead elsewhere, `service` is a host without routes. */
export function hostsOf(
  through: readonly VirtualHost[],
  others: readonly VirtualHost[],
  service: readonly string[],
): Hosts {
  const domains = [...new Set([...through.flatMap((one) => one.domains), ...service])];
  const foreign = [...new Set(others.flatMap((one) => one.domains))].filter((domain) => domain !== '*');
  const below = domains.map((domain) => foreign.filter((one) => takes(domain, one) === 'some'));
  const shared = domains.filter((domain) => foreign.some((one) => takes(domain, one) === 'all'));
  const some = [...new Set(through.filter((one) => !one.isWhole).flatMap((one) => one.domains))];
  const hasRest = through.some(
    ({ ignoresPort, routes, domains: own }) =>
      !ignoresPort &&
      own.some((domain) => domain !== '*' && !domain.includes(':')) &&
      others.some((other) => other.routes === routes && other.domains.includes('*')),
  );
  return {
    hosts: domains.filter((_, i) => below[i]!.length === 0),
    partial: [
      ...(shared.length === 0
        ? []
        : [
            `other routes of ${shared.join(', ')} lead to other clusters, without this credential: say by match.paths and match.methods which are its own`,
          ]),
      ...(some.length === 0
        ? []
        : [
            `the routes of ${some.join(', ')} take some requests only: say by match.paths and match.methods which`,
          ]),
    ],
    wider: [
      ...(hasRest
        ? [
            'requests whose host has a port, which went to the domain *: a policy without a port is for every port',
          ]
        : []),
      ...domains.flatMap((domain, i) =>
        below[i]!.length === 0
          ? []
          : [`the domain ${domain}, below which ${below[i]!.join(', ')} is led elsewhere: name its hosts`],
      ),
    ],
  };
}

/** Whether requests for the domain `other` are among those that a policy for `domain` would take. */
export function takes(domain: string, other: string): 'all' | 'some' | undefined {
  const [own, its] = [parts(domain), parts(other)];
  if (own.port !== undefined && own.port !== (its.port ?? '80')) return undefined;
  if (own.name === its.name) return 'all';
  return own.name.startsWith('*.') && its.name.endsWith(own.name.slice(1)) ? 'some' : undefined;
}

/** Every port is none. */
function parts(domain: string): { readonly name: string; readonly port: string | undefined } {
  const [, name, port] = /^(.*?)(?::(\d+|\*))?$/s.exec(domain.toLowerCase())!;
  return { name: name!.replace(/\.$/, ''), port: port === '*' ? undefined : port };
}
