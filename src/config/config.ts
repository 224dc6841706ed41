// The configuration as the program sees it: parsed, defaulted, camelCase, frozen. config/schema.ts is the file's shape.

import type { ListenAddress, TcpAddress, UnixAddress } from '../lib/address.ts';
import type { BucketSize } from '../lib/token-bucket.ts';
import type { DenyConfig } from './deny.ts';
import type { HostPattern } from './host-pattern.ts';
import type { InboundConfig } from './inbound/config.ts';
import type { PathRule } from './path-rule.ts';
import type { BodyLimitConfig } from './rate-limit.ts';
import type { AuditConfig } from './schema-audit.ts';
import type { PolicyBundleConfig } from './schema-bundle.ts';
import type { GuardConfig } from './schema-guard.ts';
import type { InjectConfig } from './schema-inject.ts';
import type { RolloutConfig } from './schema-outbound.ts';
import type { ProofConfig } from './schema-proof.ts';
import type { ResilienceConfig } from './schema-resilience.ts';
import type { SharedCacheConfig } from './schema-shared-cache.ts';
import type { TracingConfig } from './schema-tracing.ts';
import type { ApiKeysConfig } from './source/api-keys.ts';
import type { ClientCredentialsConfig } from './source/client-credentials.ts';
import type { ExecConfig } from './source/exec.ts';
import type { FileConfig } from './source/file.ts';
import type { HttpConfig } from './source/http.ts';
import type { JwtBearerConfig } from './source/jwt-bearer.ts';
import type { RefreshTokenConfig } from './source/refresh-token.ts';
import type { SecretRef } from './source/secret-ref.ts';
import type { SignedJwtConfig } from './source/signed-jwt.ts';
import type { SpiffeJwtConfig } from './source/spiffe-jwt.ts';
import type { StaticConfig } from './source/static.ts';
import type { SubjectHeaders, TokenExchangeConfig } from './source/token-exchange.ts';

export type { DenyConfig } from './deny.ts';
export type { HostPattern } from './host-pattern.ts';
export type { PathRule } from './path-rule.ts';
export type { BodyLimitConfig } from './rate-limit.ts';
export type { AuditConfig } from './schema-audit.ts';
export type { PolicyBundleConfig } from './schema-bundle.ts';
export type { GuardConfig } from './schema-guard.ts';
export type { HeaderInjection, InjectConfig } from './schema-inject.ts';
export type { RolloutConfig } from './schema-outbound.ts';
export type { MessageSignatureConfig, ProofConfig } from './schema-proof.ts';
export type { ResilienceConfig } from './schema-resilience.ts';
export type { RedisConfig, SharedCacheConfig } from './schema-shared-cache.ts';
export type { TracingConfig } from './schema-tracing.ts';
export type {
  ClientAssertionType,
  ClientAuthMethod,
  PrivateKeyJwtConfig,
  SigningAlgorithm,
  SigningKeyConfig,
} from './source/client-authentication.ts';
export type { SignedAssertionConfig } from './source/jwt-bearer.ts';
export type { OAuthClientConfig } from './source/oauth-client.ts';
export type { SecretRef } from './source/secret-ref.ts';
export type { SigningKeyFile } from './source/signed-jwt.ts';
export type { SpiffeAssertionConfig } from './source/spiffe-jwt.ts';
export type { SubjectHeaders } from './source/token-exchange.ts';
export type { TokenParametersConfig } from './source/token-parameters.ts';

export interface Config {
  readonly version: 1;
  /** Development allows inline secrets and plain http to providers on loopback; refused values elsewhere. */
  readonly mode: 'production' | 'development';
  readonly listen: ListenConfig;
  readonly sources: readonly SourceConfig[];
  readonly outbound: readonly OutboundConfig[];
  /** Who may call; undefined without listen.check_inbound. */
  readonly inbound: InboundConfig | undefined;
  readonly unmatched: 'pass' | 'deny';
  /** The app's own Authorization on requests to hosts that no policy names. Only the generator reads it. */
  readonly unboundAuthorization: 'pass' | 'remove' | 'deny';
  readonly ambiguousPath: 'no_match' | 'deny' | 'exact_bytes';
  /** Longest wait of a cold Check, milliseconds. Default 3000. */
  readonly maxWaitMs: number;
  /** How long /startupz waits for required sources, milliseconds. Default 10,000. */
  readonly startupWaitMs: number;
  readonly limits: LimitsConfig;
  readonly feedback: FeedbackConfig;
  /** full: Envoy also tells of every request, in batches. */
  readonly accessLog: 'refusals' | 'full';
  /** undefined = no audit trail. */
  readonly audit: AuditConfig | undefined;
  /** Admin interface of the Envoy beside it; undefined = not asked. */
  readonly envoyAdmin: ListenAddress | undefined;
  /** Directory that this process may write, for what outlives it; undefined = nothing does. */
  readonly stateDir: string | undefined;
  /** undefined = the local configuration is all there is. */
  readonly policyBundle: PolicyBundleConfig | undefined;
  /** undefined = memory only. */
  readonly sharedCache: SharedCacheConfig | undefined;
  /** undefined = no spans. */
  readonly tracing: TracingConfig | undefined;
  readonly log: LogConfig;
}

export interface ListenConfig {
  readonly check: CheckListenConfig | undefined;
  readonly checkInbound: CheckListenConfig | undefined;
  /** SDS and access-log feedback. Unix sockets only: any process of the pod could read tokens over TCP. */
  readonly xds: readonly XdsListenConfig[];
  readonly health: TcpAddress | undefined;
  readonly admin: UnixAddress | undefined;
  readonly status: StatusListenConfig | undefined;
}

/** The status page for those who have the token, a client certificate, or both. */
export interface StatusListenConfig {
  readonly listener: TcpAddress;
  readonly token: SecretRef | undefined;
  /** undefined = plain, on loopback, with a token. */
  readonly tls: TlsConfig | undefined;
  /** Names by which it is reached, beside localhost and addresses. */
  readonly hosts: readonly string[];
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

interface SourceBase {
  readonly name: string;
  /** Readiness waits for it. Default false. */
  readonly required: boolean;
  /** Upper bound of a credential's life, milliseconds; undefined = the provider's word, capped at 24 h. */
  readonly maxLifetimeMs: number | undefined;
  /** Name of the source that is asked when this one is away. */
  readonly fallback?: string | undefined;
  /** What it belongs to; never used across. */
  readonly environment?: string | undefined;
  /** Who is called when it fails. */
  readonly owner?: string | undefined;
  /** Hosts that its credential may go to; undefined = any. */
  readonly hosts?: readonly HostPattern[];
}

export type SourceConfig = SourceBase &
  (
    | ApiKeysConfig
    | ClientCredentialsConfig
    | JwtBearerConfig
    | RefreshTokenConfig
    | FileConfig
    | ExecConfig
    | HttpConfig
    | SignedJwtConfig
    | SpiffeJwtConfig
    | StaticConfig
    | TokenExchangeConfig
  );

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
  /** Nothing, of no source, where the policy denies. */
  readonly inject: InjectConfig;
  /** undefined = it injects. */
  readonly deny?: DenyConfig | undefined;
  /** What it belongs to; its source is of the same, or of none. */
  readonly environment?: string | undefined;
  /** Who is called when it fails. */
  readonly owner?: string | undefined;
  /** Where the request says for whom its credential is; undefined = the source's credential is everybody's. */
  readonly subject: SubjectHeaders | undefined;
  readonly rollout: RolloutConfig;
  readonly healOn: HealOn;
  readonly onFailure: 'deny' | 'pass';
  /** Made anew for each attempt; undefined = the credential alone is enough. */
  readonly proof: ProofConfig | undefined;
  /** Refuses the push door: Envoy keeps a credential past its expiry while bearerd is away. */
  readonly neverStale: boolean;
  /** One bucket for all requests of the policy; undefined = no limit. */
  readonly rateLimit: BucketSize | undefined;
  /** Counted by Envoy; only the generator reads it. */
  readonly bodyLimit?: BodyLimitConfig | undefined;
  /** undefined = no version of it is watched. */
  readonly guard: GuardConfig | undefined;
  /** What a generated configuration does about an upstream that fails; undefined = nothing. */
  readonly resilience?: ResilienceConfig | undefined;
  /** Its credential may leave Envoy without TLS: for the generator, the doctor and the attempt door. */
  readonly allowPlaintext?: boolean;
}

export interface LimitsConfig {
  /** Bytes of subjects' credentials kept. Default 16 MiB. */
  readonly credentialBytes: number;
  /** Renewals in the background an hour and endpoint; undefined = ten times what the lifetimes ask for, at least 60. */
  readonly refreshesPerHour: number | undefined;
  /** Forced refreshes an hour and endpoint; undefined likewise. */
  readonly forcedRefreshesPerHour: number | undefined;
  /** First fetches for new subjects, a second and endpoint. Default 50. */
  readonly firstFetchesPerSecond: number;
}

export interface FeedbackConfig {
  /** Response headers that Envoy reports with a refused attempt. */
  readonly responseHeaders: readonly string[];
}

export interface LogConfig {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}
