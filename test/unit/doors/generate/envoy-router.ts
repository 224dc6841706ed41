// Envoy's way to a route, as far as the generator uses it, over a generated document. The e2e tests hold the real one
// against the same expectations.
import { RE2JS } from 're2js';
import { parse } from 'yaml';

interface StringMatch {
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly safe_regex?: { readonly regex: string };
}

interface Match {
  readonly prefix?: string;
  readonly path?: string;
  readonly path_separated_prefix?: string;
  readonly safe_regex?: { readonly regex: string };
  readonly headers?: readonly { readonly name: string; readonly string_match: StringMatch }[];
}

export interface Route {
  readonly name?: string;
  readonly match: Match;
  readonly route?: { readonly cluster: string; readonly retry_policy?: Record<string, unknown> };
  readonly direct_response?: { readonly status: number };
  readonly typed_per_filter_config?: Record<string, Record<string, unknown>>;
}

interface VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
}

export interface Cluster {
  readonly name: string;
  readonly metadata?: { filter_metadata: { bearerd: Record<string, string> } };
  readonly circuit_breakers?: { thresholds: Record<string, number>[] };
  readonly cluster_type?: { name: string };
  readonly load_assignment?: unknown;
  readonly transport_socket?: unknown;
  readonly typed_extension_protocol_options: Record<
    string,
    { http_filters?: { name: string; typed_config: unknown }[] }
  >;
}

// biome-ignore lint/suspicious/noExplicitAny: a parsed Envoy document
type Any = any;

export class Bootstrap {
  readonly document: Any;

  constructor(yaml: string) {
    this.document = parse(yaml);
  }

  get manager(): Any {
    return this.document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  }

  get virtualHosts(): readonly VirtualHost[] {
    return this.manager.route_config.virtual_hosts;
  }

  get clusters(): readonly Cluster[] {
    return this.document.static_resources.clusters;
  }

  filter(name: string): Any {
    return this.manager.http_filters.find((f: { name: string }) => f.name === name);
  }

  cluster(name: string): Cluster {
    const found = this.clusters.find((c) => c.name === name);
    if (!found) throw new Error(`no cluster ${name}, only ${this.clusters.map((c) => c.name)}`);
    return found;
  }

  route(method: string, authority: string, path: string): Route | undefined {
    const host = authority.toLowerCase().replace(/:\d+$/, '');
    const domains = this.virtualHosts.flatMap((v) => v.domains.map((domain) => ({ domain, v })));
    const exact = domains.find((d) => d.domain === host);
    const suffix = domains
      .filter(
        (d) => /^\*./.test(d.domain) && host.length > d.domain.length - 1 && host.endsWith(d.domain.slice(1)),
      )
      .sort((a, b) => b.domain.length - a.domain.length)[0];
    const found = exact ?? suffix ?? domains.find((d) => d.domain === '*');
    const bare = path.split('?')[0]!;
    const headers: Record<string, string> = { ':method': method, ':authority': authority };
    return found?.v.routes.find(
      ({ match }) =>
        isPathOf(match, bare) &&
        (match.headers ?? []).every((h) => isMatch(h.string_match, headers[h.name]!)),
    );
  }

  /** Name of the policy whose credential such a request gets, by mark (check) or by cluster and matcher (push). */
  policyFor(method: string, authority: string, path: string): string | undefined {
    const route = this.route(method, authority, path);
    const mark = route?.typed_per_filter_config?.['envoy.filters.http.ext_authz'] as Any;
    if (mark?.check_settings) return mark.check_settings.context_extensions.policy;
    if (!route?.route) return undefined;
    const cluster = this.cluster(route.route.cluster);
    const injector = injectorOf(cluster);
    if (!injector) return undefined;
    const values: Record<string, string> = { ':method': method, ':authority': authority, ':path': path };
    const skip = holds(injector.xds_matcher.matcher_list.matchers[0].predicate, values);
    return skip ? undefined : cluster.metadata!.filter_metadata.bearerd.policy;
  }
}

export function injectorOf(cluster: Cluster): Any {
  const options = Object.values(cluster.typed_extension_protocol_options)[0]!;
  return options.http_filters?.find((f) => f.name === 'bearerd.inject')?.typed_config;
}

export function holds(predicate: Any, values: Record<string, string>): boolean {
  const all = (list: Any) => list.predicate.map((p: Any) => holds(p, values));
  if (predicate.not_matcher) return !holds(predicate.not_matcher, values);
  if (predicate.and_matcher) return all(predicate.and_matcher).every(Boolean);
  if (predicate.or_matcher) return all(predicate.or_matcher).some(Boolean);
  const { input, value_match } = predicate.single_predicate;
  return isMatch(value_match, values[input.typed_config.header_name]!);
}

function isPathOf(
  { path, prefix, path_separated_prefix: segments, safe_regex }: Match,
  bare: string,
): boolean {
  if (path !== undefined) return bare === path;
  if (segments !== undefined) return bare === segments || bare.startsWith(`${segments}/`);
  return isMatch(prefix === undefined ? { safe_regex: safe_regex! } : { prefix }, bare);
}

function isMatch({ exact, prefix, suffix, safe_regex }: StringMatch, value: string): boolean {
  if (exact !== undefined) return value === exact;
  if (prefix !== undefined) return value.startsWith(prefix);
  if (suffix !== undefined) return value.endsWith(suffix);
  return RE2JS.compile(safe_regex!.regex).matches(value);
}
