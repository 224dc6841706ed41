// Envoy's own credential_injector, read out of a bootstrap, a config dump or any piece of one: what it injects, and for which
// hosts. Pure; what cannot be carried over is said in words.

import { isType, type Json, json, list, objectsIn } from '../envoy-json.ts';
import { type EnvoySecret, secretOf, staticSecrets } from './secret-of-envoy.ts';

/** One injector that was found. */
export interface FoundInjector {
  /** Where it stands: the listener or cluster, for comments. */
  readonly where: string;
  /** Domains of the virtual hosts that lead through it; '*' alone = any. */
  readonly hosts: readonly string[];
  readonly credential: FoundCredential;
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

const INJECTOR = 'credential_injector.v3.CredentialInjector';
const OAUTH2 = 'injected_credentials.oauth2.v3.OAuth2';
const GENERIC = 'injected_credentials.generic.v3.Generic';

export function findInjectors(configuration: unknown): readonly FoundInjector[] {
  const all = objectsIn(configuration);
  const routes = virtualHosts(configuration);
  const statics = staticSecrets(configuration);
  const switched = new Set(all.flatMap(({ object }) => Object.keys(json(object['typed_per_filter_config']))));
  const addresses = new Map(
    all.flatMap(({ object }) =>
      'load_assignment' in object ? [[object['name'], namesIn(object['load_assignment'])] as const] : [],
    ),
  );
  const found = all.flatMap(({ object, above }): FoundInjector[] => {
    if (!isType(object, INJECTOR)) return [];
    const cluster = above.findLast((a) => isCluster(a));
    const manager = above.findLast((a) => isType(a, 'HttpConnectionManager'));
    const name = text((cluster ?? above.findLast((a) => typeof a['address'] === 'object'))?.['name']);
    const through =
      cluster === undefined
        ? virtualHosts(manager ?? {})
        : routes.filter(({ clusters }) => clusters.has(name ?? ''));
    const upstreams = cluster === undefined ? through.flatMap(({ clusters }) => [...clusters]) : [name];
    const { credential, remarks } = credentialOf(object, statics);
    return [
      {
        where: `${cluster === undefined ? 'listener' : 'cluster'} ${name ?? '(without a name)'}`,
        hosts: [...new Set(through.flatMap(({ domains }) => domains))],
        credential,
        remarks: [
          ...remarks,
          ...remarksOf(object),
          ...placeRemarks(above, switched),
          ...(cluster === undefined ? [] : elsewhere(through)),
        ],
        leadsTo: [...new Set(upstreams.flatMap((one) => addresses.get(one) ?? []))],
      },
    ];
  });
  // A dump has what is static twice: in the bootstrap, and as it runs.
  return [...new Map(found.map((injector) => [JSON.stringify(injector), injector])).values()];
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
        clientAuth: client['auth_type'] === 'URL_ENCODED_BODY' ? 'client_secret_post' : 'client_secret_basic',
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

/** Of where it stands: what decides there whether it acts. */
function placeRemarks(above: readonly Json[], switched: ReadonlySet<string>): string[] {
  const remarks: string[] = [];
  if (above.some((a) => isType(a, 'matching.v3.ExtensionWithMatcher'))) {
    remarks.push('the matcher around it (match_delegate): say it by match.paths and match.methods');
  }
  const filter = above.findLast((a) => typeof a['name'] === 'string' && 'typed_config' in a);
  if (filter?.['disabled'] === true) remarks.push('disabled: it acted only on routes that switched it on');
  const name = String(filter?.['name']);
  if (switched.has(name)) {
    remarks.push(
      `routes that switch it off or on (typed_per_filter_config of ${name}): say it by match.paths`,
    );
  }
  return remarks;
}

/** What a cluster does not see of its hosts, and a policy for them would. */
function elsewhere(through: readonly FoundVirtualHost[]): string[] {
  const mixed = through.filter(({ clusters }) => clusters.size > 1).flatMap(({ domains }) => domains);
  if (mixed.length === 0) return [];
  return [
    `other routes of ${[...new Set(mixed)].join(', ')} lead to other clusters, without this credential: say by match.paths and match.methods which are its own`,
  ];
}

/** DNS names of its endpoints: what hosts may be meant by `*`. */
function namesIn(assignment: unknown): readonly string[] {
  return objectsIn(assignment)
    .map(({ object }) => text(json(object['socket_address'])['address']))
    .filter((address): address is string => address !== undefined && /[a-z]/i.test(address));
}

interface FoundVirtualHost {
  readonly domains: readonly string[];
  readonly clusters: ReadonlySet<string>;
}

function virtualHosts(configuration: unknown): readonly FoundVirtualHost[] {
  return objectsIn(configuration)
    .filter(({ object }) => Array.isArray(object['domains']) && Array.isArray(object['routes']))
    .map(({ object }) => ({
      domains: list(object['domains']).filter((domain): domain is string => typeof domain === 'string'),
      clusters: new Set(
        list(object['routes']).flatMap((route) => {
          const { cluster, weighted_clusters } = json(json(route)['route']);
          const weighted = list(json(weighted_clusters)['clusters']).map((one) => json(one)['name']);
          return [cluster, ...weighted].filter((one): one is string => typeof one === 'string');
        }),
      ),
    }));
}

function isCluster(object: Json): boolean {
  return (
    'connect_timeout' in object || 'load_assignment' in object || 'typed_extension_protocol_options' in object
  );
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
