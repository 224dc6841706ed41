// Which hosts lead where, in Envoy's virtual hosts: those of a connection manager, of RDS and of a whole configuration. Pure.
import { type Json, json, list, objectsIn } from '../envoy-json.ts';

export interface VirtualHost {
  /** That a request can reach. */
  readonly domains: readonly string[];
  /** Without the port of a request's host. */
  readonly ignoresPort: boolean;
  /** What it stands in. */
  readonly routes: Json | undefined;
  /** Where its routes lead. What is known from the request alone is none that anybody could name. */
  readonly clusters: ReadonlySet<string>;
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

function clustersOf(route: Json): string[] {
  const weighted = list(json(route['weighted_clusters'])['clusters']).map(json);
  const named = [route['cluster'], ...weighted.map((one) => one['name'])];
  const other = [route, ...weighted].some(
    (one) =>
      one['cluster_header'] || one['cluster_specifier_plugin'] || one['inline_cluster_specifier_plugin'],
  );
  return [
    ...named.filter((one): one is string => typeof one === 'string' && one !== ''),
    ...(other ? ['(by the request)'] : []),
  ];
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
