// sources.NAME.signed_jwt
import * as z from 'zod';
import { refuse } from '../invalid.ts';
import { parseScope } from '../oauth-values.ts';
import { duration, exactlyOne, filePath, oneOfKeys, parsed, textOrList } from '../schema-values.ts';
import { sourceKind } from './kind.ts';

export interface SignedJwtConfig {
  readonly type: 'signed_jwt';
  readonly keys: SigningKeyFiles;
  /** undefined = by the kind of key: ES256 (P-256), EdDSA (Ed25519), RS256 (RSA). */
  readonly alg: 'ES256' | 'EdDSA' | 'RS256' | 'HS256' | undefined;
  /** A new key is published so long before it signs, milliseconds. */
  readonly publishAheadMs: number;
  readonly issuer: string;
  readonly subject: string;
  readonly audience: readonly string[];
  readonly scope: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
  readonly typ: string;
  readonly lifetimeMs: number;
}

/** In the order of their age, the newest last: of a directory by name, of a list as it stands. */
export type SigningKeyFiles =
  | { readonly from: 'directory'; readonly path: string }
  | { readonly from: 'files'; readonly files: readonly SigningKeyFile[] };

export interface SigningKeyFile {
  readonly path: string;
  /** undefined = a JWK's own, else the thumbprint of RFC 7638; for HS256 the name of the file. */
  readonly kid: string | undefined;
}

const MINUTE_MS = 60_000;
const RESERVED = ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'scope'];

const keys = z
  .strictObject({
    directory: filePath.optional().describe('Folder of key files; the last by name is the newest.'),
    files: z
      .array(
        z.strictObject({
          file: filePath,
          kid: z
            .string()
            .min(1)
            .max(128)
            .optional()
            .describe('Default: a JWK’s own, else its thumbprint (RFC 7638).'),
        }),
      )
      .min(1)
      .optional()
      .describe('List of { file, kid }, the newest last.'),
  })
  .check(exactlyOne('directory', 'files'))
  .meta(oneOfKeys('directory', 'files'));

/** Also what a policy may add (`inject.claims`). */
export const claims = z.record(
  parsed(z.string(), (name) =>
    RESERVED.includes(name) ? refuse(`${name} is set by another key or by bearerd`) : name,
  ),
  z.unknown(),
);

const schema = z
  .strictObject({
    keys: keys.describe(
      'Private keys, PEM or JWK: exactly one of directory and files. Followed while they change. Relative: to this file.',
    ),
    alg: z
      .enum(['ES256', 'EdDSA', 'RS256', 'HS256'])
      .optional()
      .describe(
        'Default by the kind of key: ES256 (P-256), EdDSA (Ed25519), RS256 (RSA). HS256 only where it is written here, for services that may know the secret.',
      ),
    publish_ahead: duration({ minMs: 0, maxMs: 24 * 60 * MINUTE_MS })
      .prefault('10m')
      .describe(
        'A new key stands in /.well-known/jwks.json so long before it signs: longer than verifiers keep the JWKS. Default 10m.',
      ),
    issuer: z.string().min(1).describe('iss'),
    subject: z.string().min(1).describe('sub'),
    audience: parsed(textOrList, (value) => {
      const list = typeof value === 'string' ? [value] : value;
      if (list.length === 0 || list.includes('')) refuse('expected at least one audience');
      return list;
    }).describe('aud, one or a list.'),
    scope: parsed(textOrList, parseScope)
      .prefault([])
      .describe('List, or one text with spaces. Default: no claim.'),
    claims: claims.default({}).describe('Further claims, any JSON. Default: none.'),
    typ: z.string().min(1).default('JWT').describe('typ of the header, e.g. at+jwt. Default JWT.'),
    lifetime: duration({ minMs: 10_000, maxMs: 15 * MINUTE_MS })
      .prefault('5m')
      .describe('10s to 15m. Default 5m.'),
  })
  .describe(
    'JWTs signed here; who verifies them finds the public keys at /.well-known/jwks.json of listen.health.',
  );

export const signedJwt = sourceKind({
  schema,
  toConfig: (jwt, path): SignedJwtConfig => ({
    type: 'signed_jwt',
    keys:
      jwt.keys.directory !== undefined
        ? { from: 'directory', path: path(jwt.keys.directory) }
        : { from: 'files', files: jwt.keys.files!.map(({ file, kid }) => ({ path: path(file), kid })) },
    alg: jwt.alg,
    publishAheadMs: jwt.publish_ahead,
    issuer: jwt.issuer,
    subject: jwt.subject,
    audience: jwt.audience,
    scope: jwt.scope,
    claims: jwt.claims,
    typ: jwt.typ,
    lifetimeMs: jwt.lifetime,
  }),
  renewable: true,
  providerUrls: [],
});
