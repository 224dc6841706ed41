// Envoy's own credential_injector, read out of a bootstrap, a config dump or any piece of one: what it injects, and for which
// hosts. Pure; what cannot be carried over is said in words.

import { isType, type Json, json, list, objectsIn } from '../envoy-json.ts';
import { enumName } from './proto-json.ts';
import { type EnvoySecret, secretOf, staticSecrets } from './secret-of-envoy.ts';
import { BY_REQUEST, hostsOf, routeConfigurations, virtualHostsIn, virtualHostsOf } from './virtual-hosts.ts';

/** One injector that was found. */
export interface FoundInjector {
  /** Where it stands: the listener or cluster, for comments. */
  readonly where: string;
  /** Domains of the virtual hosts that lead through it; '*' alone = any. */
  readonly hosts: readonly string[];
  readonly credential: FoundCredential;
  /** In the upstream chain of a cluster, behind those of a listener. */
  readonly isOfCluster: boolean;
  /** What is there already, of the app or of an injector before it, is replaced. */
  readonly overwrites: boolean;
  /** It acted on some requests of its hosts only, and a policy would on all. */
  readonly isPartial: boolean;
  /** Names of the upstreams behind it, where they have some: what hosts may be meant by '*'. */
  readonly leadsTo: readonly string[];
  /** What our file says otherwise or not at all. */
  readonly remarks: readonly string[];
}

export type FoundCredential =
  | {
      readonly kind: 'oauth2';
      readonly tokenEndpoint: string;
      readonly clientId: string;
      readonly secret: EnvoySecret;
      readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
      readonly scopes: readonly string[];
      /** Names may come several times. */
      readonly endpointParams: readonly (readonly [name: string, value: string])[];
    }
  | {
      readonly kind: 'generic';
      readonly secret: EnvoySecret;
      readonly header: string;
      readonly prefix: string;
    };

const FILTER = 'envoy.filters.http.credential_injector';
const INJECTOR = 'credential_injector.v3.CredentialInjector';
const OAUTH2 = 'injected_credentials.oauth2.v3.OAuth2';
const GENERIC = 'injected_credentials.generic.v3.Generic';

export function findInjectors(configuration: unknown): readonly FoundInjector[] {
  const all = objectsIn(configuration);
  const known = virtualHostsIn(configuration);
  const byName = routeConfigurations(configuration);
  const statics = staticSecrets(configuration);
  const switched = new Set(all.flatMap(({ object }) => Object.keys(json(object['typed_per_filter_config']))));
  const filtered = new Set(
    all.flatMap(({ object, above }) =>
      'http_filters' in object ? above.filter(isCluster).map((one) => one['name']) : [],
    ),
  );
  const addresses = new Map(
    all.flatMap(({ object }) =>
      'load_assignment' in object ? [[object['name'], namesIn(object['load_assignment'])] as const] : [],
    ),
  );
  const injectors = all
    .filter(({ object }) => isType(object, INJECTOR))
    .map(({ object, above }) => ({
      object,
      above,
      place: placeOf(above),
      // With what is around it, which says when it acts.
      alike: JSON.stringify(above.find((a, i) => isFilter(a) && above.slice(0, i).some(isCluster)) ?? object),
    }));
  const alike = Map.groupBy(injectors, (one) => one.alike);
  const found = injectors.map(({ object, above, place, alike: key }): FoundInjector => {
    const { name, isOfCluster, manager, service } = place;
    const clusters = new Set(
      alike.get(key)!.flatMap((one) => (one.place.isOfCluster ? [one.place.name] : [])),
    );
    const isOwn = (one: string) => !isOfCluster || clusters.has(one);
    const through = isOfCluster
      ? known.filter((one) => one.clusters.has(name ?? ''))
      : virtualHostsOf(manager ?? {}, byName);
    const own = new Set(through.filter((one) => [...one.clusters].every(isOwn)).map((one) => one.identity));
    const others = known.filter(
      (one) =>
        !own.has(one.identity) && (isOfCluster ? ![...one.clusters].every(isOwn) : one.clusters.size > 0),
    );
    const upstreams = isOfCluster ? [name] : through.flatMap((one) => [...one.clusters]);
    const { credential, remarks } = credentialOf(object, statics);
    const { hosts, partial, wider } = hostsOf(through, others, service);
    const conditions = [...conditionsOf(above, switched), ...partial];
    if (!isOfCluster && upstreams.includes(BY_REQUEST) && injectors.some((one) => one.place.isOfCluster)) {
      conditions.push('cluster_header: the request may name a cluster with an injector of its own');
    }
    if (isOfRouter(above) && upstreams.some((one) => filtered.has(one))) {
      conditions.push(
        'upstream_http_filters of the router: clusters with filters of their own do without it',
      );
    }
    return {
      where: `${isOfCluster ? 'cluster' : 'listener'} ${name ?? '(without a name)'}`,
      hosts,
      credential,
      isOfCluster,
      overwrites: object['overwrite'] === true,
      isPartial: conditions.length > 0,
      remarks: [...remarks, ...remarksOf(object), ...conditions, ...wider],
      leadsTo: [...new Set(upstreams.flatMap((one) => addresses.get(one) ?? []))],
    };
  });
  // A dump has what is static twice: in the bootstrap, and as it runs.
  return [...new Map(found.map((injector) => [JSON.stringify(injector), injector])).values()];
}

interface Place {
  readonly name: string | undefined;
  readonly isOfCluster: boolean;
  readonly manager: Json | undefined;
  /** Host of a cluster that an EnvoyFilter of Istio changes. */
  readonly service: readonly string[];
}

function placeOf(above: readonly Json[]): Place {
  const cluster = above.findLast((a) => isCluster(a));
  const patched = above.map((a) => json(json(a['match'])['cluster'])).find((a) => text(a['service']));
  const service = text(patched?.['service']);
  const port = patched?.['port_number'];
  const listener = above.findLast((a) => typeof a['address'] === 'object');
  return {
    name: text((cluster ?? listener)?.['name']) ?? service,
    isOfCluster: cluster !== undefined,
    manager: above.findLast((a) => isType(a, 'HttpConnectionManager')),
    service: service === undefined ? [] : [port === undefined ? service : `${service}:${String(port)}`],
  };
}

function credentialOf(
  injector: Json,
  statics: ReadonlyMap<string, Json>,
): { credential: FoundCredential; remarks: string[] } {
  const typed = json(json(injector['credential'])['typed_config']);
  const remarks: string[] = [];
  if (isType(typed, OAUTH2)) {
    const endpoint = json(typed['token_endpoint']);
    const client = json(typed['client_credentials']);
    const authType = enumName(client['auth_type'], ['BASIC_AUTH', 'URL_ENCODED_BODY']);
    if (authType === undefined) {
      remarks.push(`auth_type ${JSON.stringify(client['auth_type'])}, which is unknown: client_secret_basic`);
    }
    if (endpoint['timeout'] !== undefined) {
      remarks.push(
        `token_endpoint.timeout ${String(endpoint['timeout'])}: bearerd has 3 s to connect and 5 s in all`,
      );
    }
    if (typed['token_fetch_retry_interval'] !== undefined) {
      remarks.push('token_fetch_retry_interval: bearerd waits with back-off and jitter, 250 ms to 30 s');
    }
    if (endpoint['cluster'] !== undefined) {
      remarks.push(
        `token_endpoint.cluster ${String(endpoint['cluster'])}: bearerd calls the address itself; a private authority goes into ca_file`,
      );
    }
    return {
      remarks,
      credential: {
        kind: 'oauth2',
        tokenEndpoint: text(endpoint['uri']) ?? '',
        clientId: text(client['client_id']) ?? '',
        secret: secretOf(client['client_secret'], statics),
        clientAuth: authType === 'URL_ENCODED_BODY' ? 'client_secret_post' : 'client_secret_basic',
        scopes: list(typed['scopes']).filter((scope): scope is string => typeof scope === 'string'),
        endpointParams: list(typed['endpoint_params']).map((entry) => [
          text(json(entry)['name']) ?? '',
          text(json(entry)['value']) ?? '',
        ]),
      },
    };
  }
  if (!isType(typed, GENERIC))
    remarks.push(`a credential of an unknown kind: ${text(typed['@type']) ?? 'no @type'}`);
  return {
    remarks,
    credential: {
      kind: 'generic',
      secret: secretOf(typed['credential'], statics),
      header: (text(typed['header']) ?? 'authorization').toLowerCase(),
      prefix: text(typed['header_value_prefix']) ?? '',
    },
  };
}

function remarksOf(injector: Json): string[] {
  const remarks: string[] = [];
  if (injector['overwrite'] !== true) {
    remarks.push('overwrite was off: the app’s own header won. bearerd always replaces it');
  }
  if (injector['allow_request_without_credential'] === true) {
    remarks.push('allow_request_without_credential: as on_failure: pass, which needs the check door');
  }
  return remarks;
}

function isOfRouter(above: readonly Json[]): boolean {
  return above.some((a) => isType(a, 'filters.http.router.v3.Router'));
}

/** Of where it stands: what decides there whether it acts. */
function conditionsOf(above: readonly Json[], switched: ReadonlySet<string>): string[] {
  const remarks: string[] = [];
  if (above.some((a) => isType(a, 'matching.v3.ExtensionWithMatcher') || 'xds_matcher' in a)) {
    remarks.push('the matcher around it (match_delegate): say it by match.paths and match.methods');
  }
  // One inside another, where it is wrapped.
  const filters = above.filter(isFilter);
  if (filters.some(({ disabled }) => disabled !== undefined && disabled !== false)) {
    remarks.push('disabled: it acted only on routes that switched it on');
  }
  const name = [...filters.map((a) => String(a['name'])), FILTER].find((one) => switched.has(one));
  if (name !== undefined) {
    remarks.push(
      `routes that switch it off or on (typed_per_filter_config of ${name}): say it by match.paths`,
    );
  }
  return remarks;
}

/** DNS names of its endpoints: what hosts may be meant by `*`. */
function namesIn(assignment: unknown): readonly string[] {
  return objectsIn(assignment)
    .map(({ object }) => text(json(object['socket_address'])['address']))
    .filter((address): address is string => address !== undefined && /[a-z]/i.test(address));
}

function isFilter(object: Json): boolean {
  return typeof object['name'] === 'string' && 'typed_config' in object;
}

function isCluster(object: Json): boolean {
  return (
    isType(object, 'cluster.v3.Cluster') ||
    'connect_timeout' in object ||
    'load_assignment' in object ||
    'typed_extension_protocol_options' in object
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
