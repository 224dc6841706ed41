// Envoy's own credential_injector, read out of a bootstrap, a config dump or any piece of one: what it injects, and for which
// hosts. Pure; what cannot be carried over is said in words.

import { isType, type Json, json, list, objectsIn } from '../envoy-json.ts';

/** One injector that was found. */
export interface FoundInjector {
  /** Where it stands: the listener or cluster, for comments. */
  readonly where: string;
  /** Domains of the virtual hosts that lead through it; '*' alone = any. */
  readonly hosts: readonly string[];
  readonly credential: FoundCredential;
  /** What our file says otherwise or not at all. */
  readonly remarks: readonly string[];
}

export type FoundCredential =
  | {
      readonly kind: 'oauth2';
      readonly tokenEndpoint: string;
      readonly clientId: string;
      /** Name of Envoy's secret, and its file where one is named. */
      readonly secret: { readonly name: string; readonly file: string | undefined };
      readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
      readonly scopes: readonly string[];
      readonly endpointParams: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'generic';
      readonly secret: { readonly name: string; readonly file: string | undefined };
      readonly header: string;
      readonly prefix: string;
    };

const INJECTOR = 'credential_injector.v3.CredentialInjector';
const OAUTH2 = 'injected_credentials.oauth2.v3.OAuth2';
const GENERIC = 'injected_credentials.generic.v3.Generic';

export function findInjectors(configuration: unknown): readonly FoundInjector[] {
  const routes = virtualHosts(configuration);
  return objectsIn(configuration).flatMap(({ object, above }) => {
    if (!isType(object, INJECTOR)) return [];
    const cluster = above.findLast((a) => isCluster(a));
    const manager = above.findLast((a) => isType(a, 'HttpConnectionManager'));
    const name = (cluster ?? above.findLast((a) => typeof a['address'] === 'object'))?.['name'];
    const hosts =
      cluster === undefined
        ? virtualHosts(manager ?? {}).flatMap(({ domains }) => domains)
        : routes
            .filter(({ clusters }) => clusters.includes(text(cluster['name']) ?? ''))
            .flatMap(({ domains }) => domains);
    const found = credentialOf(object);
    return [
      {
        where: `${cluster === undefined ? 'listener' : 'cluster'} ${text(name) ?? '(without a name)'}`,
        hosts: [...new Set(hosts)],
        credential: found.credential,
        remarks: [...found.remarks, ...remarksOf(object)],
      },
    ];
  });
}

function credentialOf(injector: Json): { credential: FoundCredential; remarks: string[] } {
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
        secret: secretOf(client['client_secret']),
        clientAuth: client['auth_type'] === 'URL_ENCODED_BODY' ? 'client_secret_post' : 'client_secret_basic',
        scopes: list(typed['scopes']).filter((scope): scope is string => typeof scope === 'string'),
        endpointParams: Object.fromEntries(
          list(typed['endpoint_params']).map((entry) => [
            text(json(entry)['name']) ?? '',
            text(json(entry)['value']) ?? '',
          ]),
        ),
      },
    };
  }
  if (!isType(typed, GENERIC))
    remarks.push(`a credential of an unknown kind: ${text(typed['@type']) ?? 'no @type'}`);
  return {
    remarks,
    credential: {
      kind: 'generic',
      secret: secretOf(typed['credential']),
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

function secretOf(value: unknown): { name: string; file: string | undefined } {
  const secret = json(value);
  const source = json(json(secret['sds_config'])['path_config_source']);
  return {
    name: text(secret['name']) ?? '',
    file: text(source['path']) ?? text(json(secret['sds_config'])['path']),
  };
}

interface FoundVirtualHost {
  readonly domains: readonly string[];
  readonly clusters: readonly string[];
}

function virtualHosts(configuration: unknown): readonly FoundVirtualHost[] {
  return objectsIn(configuration)
    .filter(({ object }) => Array.isArray(object['domains']) && Array.isArray(object['routes']))
    .map(({ object }) => ({
      domains: list(object['domains']).filter((domain): domain is string => typeof domain === 'string'),
      clusters: objectsIn(object['routes']).flatMap(({ object: route }) =>
        ['cluster', 'name'].flatMap((key) => (typeof route[key] === 'string' ? [route[key] as string] : [])),
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
