// How an OAuth client proves itself at its provider: what it has for that, and which of it is used.
import * as z from 'zod';
import { exactlyOne, filePath, oneOfKeys } from '../schema-values.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';
import { type SpiffeAssertionConfig, workloadApiKeys } from './spiffe-jwt.ts';

const clientAuthMethods = [
  'client_secret_basic',
  'client_secret_post',
  'private_key_jwt',
  'client_assertion',
  'tls_client_auth',
  'self_signed_tls_client_auth',
  'none',
] as const;

export type ClientAuthMethod = (typeof clientAuthMethods)[number];

/** The end of the URN: RFC 7523 section 2.2, and draft-ietf-oauth-spiffe-client-auth for JWT-SVIDs. */
export type ClientAssertionType = 'jwt-bearer' | 'jwt-spiffe';

export type SigningAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA';

export interface SigningKeyConfig {
  /** PEM or JWK. */
  readonly key: SecretRef;
  /** undefined = the JWK's, or none. */
  readonly kid: string | undefined;
  /** undefined = by the kind of key. */
  readonly alg: SigningAlgorithm | undefined;
}

export interface PrivateKeyJwtConfig extends SigningKeyConfig {
  /** undefined = the issuer where it is known, else the token endpoint. */
  readonly audience: string | undefined;
}

export interface ClientAuthenticationConfig {
  readonly clientAuth: 'auto' | ClientAuthMethod;
  /** One, or two while a provider changes from one to the other; none for other methods. */
  readonly clientSecrets: readonly SecretRef[];
  readonly privateKeyJwt: PrivateKeyJwtConfig | undefined;
  /** PEM files; used for every call to the provider. */
  readonly clientCertificate: { readonly certificate: string; readonly privateKey: string } | undefined;
  /** A signed assertion: in a file that somebody else renews, e.g. a projected service account token, or a JWT-SVID. */
  readonly clientAssertion:
    | ({ readonly type: ClientAssertionType } & (
        | { readonly file: string }
        | { readonly spiffe: SpiffeAssertionConfig }
      ))
    | undefined;
}

export const signingKeyKeys = {
  key: secretRef.describe('Reference to the private key, PEM or JWK: { file: /path } or { env: NAME }.'),
  kid: z.string().min(1).optional().describe('Key id in the header. Default: the one in the JWK, else none.'),
  alg: z
    .enum(['ES256', 'RS256', 'PS256', 'EdDSA'])
    .optional()
    .describe('Default by the kind of key: ES256 (P-256), EdDSA (Ed25519), RS256 (RSA).'),
};

export const clientAuthenticationKeys = {
  client_auth: z
    .enum(['auto', ...clientAuthMethods])
    .default('auto')
    .describe(
      'How the client proves itself. auto: by what is configured and the provider’s metadata lists, without a shared secret first. Default auto.',
    ),
  client_secret: z
    .union([secretRef, z.array(secretRef).min(1).max(2)], {
      error: 'expected a reference to a secret, { file: /path } or { env: NAME }, or a list of two',
    })
    .optional()
    .describe(
      'Reference to the secret: { file: /path } or { env: NAME }; two in a list while one follows the other, the next one is tried when the provider answers invalid_client.',
    ),
  private_key_jwt: z
    .strictObject({
      ...signingKeyKeys,
      audience: z
        .string()
        .min(1)
        .optional()
        .describe('aud of the assertion. Default: the issuer; without one the token endpoint.'),
    })
    .optional()
    .describe('An assertion signed with the client’s own key (RFC 7523).'),
  client_certificate: z
    .strictObject({
      certificate: filePath.describe('PEM file: the certificate, then intermediate ones.'),
      private_key: filePath.describe('PEM file, not encrypted.'),
    })
    .optional()
    .describe('For tls_client_auth and self_signed_tls_client_auth (RFC 8705), and tokens bound to it.'),
  client_assertion: z
    .strictObject({
      file: filePath
        .optional()
        .describe('File with a JWT that somebody else renews, e.g. a projected service account token.'),
      spiffe: z
        .strictObject({
          ...workloadApiKeys,
          audience: z
            .string()
            .min(1)
            .optional()
            .describe('aud of the JWT-SVID. Default: the issuer; without one the token endpoint.'),
        })
        .optional()
        .describe('A JWT-SVID of the SPIFFE Workload API.'),
      type: z
        .enum(['jwt-bearer', 'jwt-spiffe'])
        .optional()
        .describe(
          'client_assertion_type. Default jwt-bearer for a file, jwt-spiffe for a JWT-SVID; providers that know SVIDs only as JWTs want jwt-bearer.',
        ),
    })
    .check(exactlyOne('file', 'spiffe'))
    .meta(oneOfKeys('file', 'spiffe'))
    .optional()
    .describe('An assertion that another authority signed for this workload (RFC 7523, federation).'),
};

const keys = z.object(clientAuthenticationKeys);
type Value = z.output<typeof keys>;

/** The settings of which a method needs one. */
const NEEDS = {
  client_secret_basic: 'client_secret',
  client_secret_post: 'client_secret',
  private_key_jwt: 'private_key_jwt',
  client_assertion: 'client_assertion',
  tls_client_auth: 'client_certificate',
  self_signed_tls_client_auth: 'client_certificate',
} as const satisfies Record<Exclude<ClientAuthMethod, 'none'>, keyof Value>;

const PROOFS = [...new Set(Object.values(NEEDS))];

/** For `.check()` of a schema. */
export function clientAuthenticationCheck({ value, issues }: z.core.ParsePayload<Value>): void {
  const refuse = (message: string, path: readonly PropertyKey[] = []) =>
    issues.push({ code: 'custom', message, path: [...path], input: value, continue: true });
  const { client_auth } = value;
  if (client_auth === 'none') {
    const present = PROOFS.filter((proof) => value[proof] !== undefined);
    if (present.length > 0) refuse(`client_auth: none uses no ${present.join(', no ')}`, ['client_auth']);
  } else if (client_auth === 'auto') {
    if (PROOFS.every((proof) => value[proof] === undefined)) {
      refuse(`expected at least one of ${PROOFS.join(', ')}; client_auth: none for a client without any`);
    }
  } else if (value[NEEDS[client_auth]] === undefined) {
    refuse(`client_auth: ${client_auth} needs ${NEEDS[client_auth]}`, ['client_auth']);
  }
}

export function toClientAuthentication(
  value: Value,
  path: (relative: string) => string,
): ClientAuthenticationConfig {
  const { client_secret: secret, private_key_jwt, client_certificate, client_assertion } = value;
  const secrets = secret === undefined ? [] : Array.isArray(secret) ? secret : [secret];
  return {
    clientAuth: value.client_auth,
    clientSecrets: secrets.map((ref) => resolveSecretRef(ref, path)),
    privateKeyJwt: private_key_jwt && {
      key: resolveSecretRef(private_key_jwt.key, path),
      kid: private_key_jwt.kid,
      alg: private_key_jwt.alg,
      audience: private_key_jwt.audience,
    },
    clientCertificate: client_certificate && {
      certificate: path(client_certificate.certificate),
      privateKey: path(client_certificate.private_key),
    },
    clientAssertion: client_assertion && toClientAssertion(client_assertion, path),
  };
}

function toClientAssertion(
  { file, spiffe, type }: NonNullable<Value['client_assertion']>,
  path: (relative: string) => string,
): ClientAuthenticationConfig['clientAssertion'] {
  if (spiffe === undefined) return { type: type ?? 'jwt-bearer', file: path(file!) };
  const { socket, spiffe_id, audience } = spiffe;
  return { type: type ?? 'jwt-spiffe', spiffe: { socket, spiffeId: spiffe_id ?? '', audience } };
}
