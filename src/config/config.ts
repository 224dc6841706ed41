// The configuration as the program sees it: parsed, defaulted, camelCase, frozen. config/schema.ts is the file's shape.
import type { ListenAddress, TcpAddress, UnixAddress } from '../lib/address.ts';
import type { Secret } from '../lib/secret.ts';

export interface Config {
  readonly version: 1;
  /** Development allows inline secrets and plain http to providers on loopback; refused values elsewhere. */
  readonly mode: 'production' | 'development';
  readonly listen: ListenConfig;
  readonly sources: readonly SourceConfig[];
  readonly outbound: readonly OutboundConfig[];
  readonly unmatched: 'pass' | 'deny';
  readonly ambiguousPath: 'no_match' | 'deny' | 'exact_bytes';
  /** Longest wait of a cold Check, milliseconds. Default 3000. */
  readonly maxWaitMs: number;
  readonly limits: LimitsConfig;
  readonly feedback: FeedbackConfig;
  readonly log: LogConfig;
}

export interface ListenConfig {
  readonly check: CheckListenConfig | undefined;
  /** SDS and access-log feedback. Unix sockets only: any process of the pod could read tokens over TCP. */
  readonly xds: readonly XdsListenConfig[];
  readonly health: TcpAddress | undefined;
  readonly admin: UnixAddress | undefined;
}

export interface CheckListenConfig {
  readonly listener: ListenAddress;
  /** Which server answers: our own HTTP/2, or Node's. Default raw. */
  readonly front: 'raw' | 'node';
  /** TLS 1.3 with client certificates; undefined = plain, on a Unix socket or loopback. */
  readonly tls: TlsConfig | undefined;
}

export interface TlsConfig {
  readonly certificate: string;
  readonly privateKey: string;
  readonly clientCa: string;
  readonly allowedUris: readonly string[];
}

export interface XdsListenConfig {
  readonly listener: UnixAddress;
  /** Sources whose secrets this socket serves; undefined = all. */
  readonly sources: readonly string[] | undefined;
}

/** A secret by reference. `inline` only in development mode. */
export type SecretRef =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'inline'; readonly value: Secret };

interface SourceBase {
  readonly name: string;
  /** Readiness waits for it. Default false. */
  readonly required: boolean;
  /** Upper bound of a credential's life, milliseconds; undefined = the provider's word, capped at 24 h. */
  readonly maxLifetimeMs: number | undefined;
}

export type SourceConfig =
  | (SourceBase & { readonly type: 'client_credentials' } & ClientCredentialsConfig)
  | (SourceBase & { readonly type: 'static'; readonly value: SecretRef })
  | (SourceBase & {
      readonly type: 'file';
      readonly path: string;
      readonly format: 'raw' | 'json';
      readonly pointer: string;
    });

export interface ClientCredentialsConfig {
  /** Exactly one of issuer (discovery) and tokenEndpoint. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
  readonly clientId: string;
  readonly clientSecret: SecretRef;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
  readonly scope: readonly string[];
  readonly audience: string | undefined;
  /** RFC 8707. */
  readonly resource: readonly string[];
  readonly extraParams: Readonly<Record<string, string>>;
  /** PEM bundle of a private CA. */
  readonly caFile: string | undefined;
}

/** Which refusals of an upstream renew the credential. */
export type HealOn = '401' | 'invalid_token' | 'off';

export interface OutboundConfig {
  readonly name: string;
  readonly match: {
    /** Normalised: lower case, no trailing dot; Kubernetes short forms expanded from `services`. */
    readonly hosts: readonly HostPattern[];
    /** Upper case; undefined = every method. */
    readonly methods: readonly string[] | undefined;
    /** undefined = every path. */
    readonly paths: readonly PathRule[] | undefined;
  };
  readonly inject: { readonly source: string; readonly header: string; readonly prefix: string };
  readonly healOn: HealOn;
  readonly onFailure: 'deny' | 'pass';
  /** Refuses the push door: Envoy keeps a credential past its expiry while bearerd is away. */
  readonly neverStale: boolean;
}

export interface HostPattern {
  /** `orders.example.com`, or `example.com` with wildcard true for `*.example.com`. */
  readonly name: string;
  readonly wildcard: boolean;
  /** undefined = every port. */
  readonly port: number | undefined;
}

export type PathRule =
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string };

export interface LimitsConfig {
  /** Bytes of credentials kept. Default 16 MiB. */
  readonly credentialBytes: number;
  /** Forced refreshes an hour and endpoint. */
  readonly forcedRefreshesPerHour: number;
}

export interface FeedbackConfig {
  /** Response headers that Envoy reports with a refused attempt. */
  readonly responseHeaders: readonly string[];
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}
