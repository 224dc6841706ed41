// sources.NAME.jwt_bearer
import * as z from 'zod';
import { duration, exactlyOne, filePath, oneOfKeys } from '../schema-values.ts';
import { type SigningKeyConfig, signingKeyKeys } from './client-authentication.ts';
import { sourceKind } from './kind.ts';
import { type OAuthClientConfig, oauthClient } from './oauth-client.ts';
import { resolveSecretRef } from './secret-ref.ts';
import { type TokenParametersConfig, tokenParameterKeys, toTokenParameters } from './token-parameters.ts';

export interface SignedAssertionConfig extends SigningKeyConfig {
  readonly from: 'key';
  readonly issuer: string;
  readonly subject: string;
  /** undefined = the provider's issuer where it is known, else its token endpoint. */
  readonly audience: string | undefined;
  readonly lifetimeMs: number;
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface JwtBearerConfig extends OAuthClientConfig, TokenParametersConfig {
  readonly type: 'jwt_bearer';
  readonly assertion: { readonly from: 'file'; readonly path: string } | SignedAssertionConfig;
}

const RESERVED = ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti'];

const signed = z
  .strictObject({
    ...signingKeyKeys,
    issuer: z.string().min(1).describe('iss: whom the provider knows as the signer.'),
    subject: z.string().min(1).describe('sub: for whom the token is.'),
    audience: z
      .string()
      .min(1)
      .optional()
      .describe('aud. Default: the issuer of the provider; without one its token endpoint.'),
    lifetime: duration({ minMs: 5_000, maxMs: 3_600_000 })
      .prefault('60s')
      .describe('exp, from now: 5s to 1h. Default 60s.'),
    claims: z.record(z.string(), z.json()).default({}).describe('Further claims. Default: none.'),
  })
  .check(({ value, issues }) => {
    for (const name of RESERVED.filter((claim) => Object.hasOwn(value.claims, claim))) {
      issues.push({
        code: 'custom',
        message: `${name} is set by itself or by a setting beside claims`,
        path: ['claims', name],
        input: value,
      });
    }
  });

const assertion = z
  .strictObject({
    file: filePath.optional().describe('File with a JWT that somebody else renews.'),
    signed: signed
      .optional()
      .describe('Signed by this process with a key of its own, anew for each request.'),
  })
  .check(exactlyOne('file', 'signed'))
  .meta(oneOfKeys('file', 'signed'));

export const jwtBearer = sourceKind({
  schema: z
    .strictObject({
      ...oauthClient.keys,
      ...tokenParameterKeys,
      assertion: assertion.describe('The JWT that is changed for a token: exactly one of file and signed.'),
    })
    .check(oauthClient.check)
    .meta({
      description:
        'OAuth 2.0 JWT bearer grant (RFC 7523): an assertion is changed for a token. Exactly one of issuer and token_endpoint.',
      ...oauthClient.meta,
    }),
  toConfig: (value, path): JwtBearerConfig => ({
    type: 'jwt_bearer',
    ...oauthClient.toConfig(value, path),
    ...toTokenParameters(value),
    assertion: toAssertion(value.assertion, path),
  }),
  renewable: true,
  providerUrls: oauthClient.urls,
});

function toAssertion(
  { file, signed }: z.output<typeof assertion>,
  path: (relative: string) => string,
): JwtBearerConfig['assertion'] {
  if (signed === undefined) return { from: 'file', path: path(file!) };
  const { key, kid, alg, issuer, subject, audience, lifetime, claims } = signed;
  return {
    from: 'key',
    key: resolveSecretRef(key, path),
    kid,
    alg,
    issuer,
    subject,
    audience,
    lifetimeMs: lifetime,
    claims,
  };
}
