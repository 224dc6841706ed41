// The inbound side of the configuration as the program sees it. schema.ts beside it is the file's shape.
import type { BucketSize } from '../../lib/token-bucket.ts';
import type { HostPattern } from '../host-pattern.ts';
import type { PathRule } from '../path-rule.ts';
import type { BodyLimitConfig } from '../rate-limit.ts';
import type { SecretRef } from '../source/secret-ref.ts';

export interface InboundConfig {
  /** Named in challenges. */
  readonly realm: string;
  /** Of requests that match no policy; a policy has its own. */
  readonly mode: InboundMode;
  readonly issuers: readonly IssuerConfig[];
  readonly roles: Readonly<Record<string, readonly string[]>>;
  /** YAML or JSON, role → permissions, followed while it runs; beside `roles`. */
  readonly rolesFile: string | undefined;
  readonly revocation: RevocationConfig | undefined;
  readonly apiKeys: ApiKeysConfig | undefined;
  /** Proxies in front of Envoy that append to X-Forwarded-For; 0 = the address of the connection. */
  readonly trustedHops: number;
  /** Where the certificate of a caller is read: Envoy's attribute, or x-forwarded-client-cert as Envoy sanitised it. */
  readonly clientCertificate: 'peer' | 'xfcc';
  /** Verified tokens kept, bytes. Default 32 MiB. */
  readonly verifiedTokenBytes: number;
  /** Failed attempts a policy verifies. */
  readonly failedAttempts: BucketSize;
  readonly policies: readonly InboundPolicyConfig[];
}

export type IssuerConfig = JwtIssuerConfig | IntrospectionConfig;

interface IssuerBase {
  readonly name: string;
  /** One of these must be in a token's `aud` where a policy states none. */
  readonly audience: readonly string[];
  readonly roles: ClaimPath;
  readonly caFile: string | undefined;
  /** Milliseconds that clocks may differ. */
  readonly leewayMs: number;
}

export interface JwtIssuerConfig extends IssuerBase {
  readonly kind: 'jwt';
  /** The `iss` of its tokens, compared byte for byte. */
  readonly issuer: string;
  readonly keys:
    | { readonly from: 'discovery' }
    | { readonly from: 'url'; readonly url: string }
    | { readonly from: 'file'; readonly path: string }
    | { readonly from: 'shared_secret'; readonly secret: SecretRef };
  readonly algorithms: readonly string[];
  /** Lower case, without `application/`; `''` = no typ at all. */
  readonly types: readonly string[];
}

/** RFC 7662. */
export interface IntrospectionConfig extends IssuerBase {
  readonly kind: 'introspection';
  readonly endpoint: string;
  readonly clientId: string;
  readonly clientSecret: SecretRef;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
  /** Longest time an answer counts, milliseconds. */
  readonly cacheMs: number;
}

export interface RevocationConfig {
  /** undefined = in the shared cache. */
  readonly file: string | undefined;
  /** Milliseconds after which a list that cannot be read any more refuses every token; undefined = never. */
  readonly maxAgeMs: number | undefined;
}

export interface ApiKeysConfig {
  readonly file: string;
  readonly header: string;
}

/** shadow: decided, counted and logged, and every request goes on. */
export type InboundMode = 'shadow' | 'enforce';

export interface InboundPolicyConfig {
  readonly name: string;
  readonly mode: InboundMode;
  readonly match: {
    /** undefined = every host. */
    readonly hosts: readonly HostPattern[] | undefined;
    readonly methods: readonly string[] | undefined;
    readonly paths: readonly PathRule[] | undefined;
  };
  /** Names of issuers whose tokens count. Empty with apiKeys or anonymous only. */
  readonly issuers: readonly string[];
  readonly apiKeys: boolean;
  readonly anonymous: boolean;
  /** undefined = the issuer's. */
  readonly audience: readonly string[] | undefined;
  readonly scopes: readonly string[];
  readonly permissions: readonly string[];
  readonly claims: readonly ClaimConditionConfig[];
  /** URI names of client certificates; `*` at the end. undefined = any or none. */
  readonly peers: readonly string[] | undefined;
  /** CIDR blocks. */
  readonly networks: readonly string[] | undefined;
  readonly acr: readonly string[] | undefined;
  readonly amr: readonly string[] | undefined;
  readonly maxAuthAgeMs: number | undefined;
  readonly requireTls: boolean;
  readonly bound: 'mtls' | 'dpop' | 'either' | undefined;
  /** Scheme and authority that callers see, for `htu` of DPoP proofs. */
  readonly publicUrl: string | undefined;
  readonly signature: SignatureConfig | undefined;
  readonly rateLimit: RateLimitConfig | undefined;
  /** Counted by Envoy; only the generator reads it. */
  readonly bodyLimit?: BodyLimitConfig | undefined;
  readonly cors: CorsConfig | undefined;
  /** Header → claim. */
  readonly forward: Readonly<Record<string, ClaimPath>>;
  /** `exchange`: name of the source whose token the app gets in place of the caller's. */
  readonly token: 'pass' | 'remove' | { readonly exchange: string };
}

export interface RateLimitConfig extends BucketSize {
  /** `{ header }`: its value. */
  readonly key: 'policy' | 'caller' | { readonly header: string };
}

export interface CorsConfig {
  readonly origins: readonly string[];
  readonly methods: readonly string[];
  readonly headers: readonly string[];
  readonly credentials: boolean;
  readonly maxAgeMs: number;
}

/** RFC 9421. */
export interface SignatureConfig {
  /** JWK Set; `keyid` is the `kid`. */
  readonly keysFile: string;
  readonly components: readonly string[];
  readonly maxAgeMs: number;
  readonly nonce: boolean;
}

/** Steps from the claims' root. */
export type ClaimPath = readonly string[];

export interface ClaimConditionConfig {
  readonly claim: ClaimPath;
  readonly test:
    | { readonly kind: 'equals'; readonly value: ClaimValue }
    | { readonly kind: 'in'; readonly values: readonly ClaimValue[] }
    | { readonly kind: 'contains'; readonly value: ClaimValue }
    | { readonly kind: 'prefix'; readonly value: string }
    | { readonly kind: 'number'; readonly min: number; readonly max: number };
}

export type ClaimValue = string | number | boolean;
