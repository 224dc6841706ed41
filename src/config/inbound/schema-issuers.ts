// inbound.issuers: whose tokens count, and with which keys they are verified.
import * as z from 'zod';
import { parseJsonPointer, parseProviderUrl } from '../oauth-values.ts';
import { duration, filePath, nameText, parsed, textOrList } from '../schema-values.ts';
import { secretRef } from '../source/secret-ref.ts';
import type { ClaimPath } from './config.ts';

const ASYMMETRIC = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;
const SYMMETRIC = ['HS256', 'HS384', 'HS512'] as const;

/** A name, or a JSON pointer where a claim lies inside another. */
export const claimPath = parsed(z.string().min(1), (text): ClaimPath => {
  if (!text.startsWith('/')) return [text];
  return parseJsonPointer(text)
    .split('/')
    .slice(1)
    .map((step) => step.replace(/~1/g, '/').replace(/~0/g, '~'));
});

const introspection = z
  .strictObject({
    endpoint: parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint')).describe(
      'Introspection endpoint (RFC 7662). https.',
    ),
    client_id: z.string().min(1),
    client_secret: secretRef,
    client_auth: z.enum(['client_secret_basic', 'client_secret_post']).default('client_secret_basic'),
    cache: duration({ minMs: 0, maxMs: 600_000 })
      .prefault('30s')
      .describe('Longest time an answer counts; a token’s own end comes first. 0s to 10m. Default 30s.'),
  })
  .describe('Opaque tokens, asked for at the issuer (RFC 7662).');

export const issuer = z
  .strictObject({
    issuer: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The iss of its tokens, byte for byte. Without a key setting below, its metadata names the keys.',
      ),
    jwks_uri: parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint'))
      .optional()
      .describe('Address of its JWK Set, without discovery. https.'),
    jwks_file: filePath.optional().describe('File with its JWK Set; read again when it changes.'),
    shared_secret: secretRef
      .optional()
      .describe('Secret of HS256, HS384 or HS512; never beside public keys. At least 32 bytes.'),
    introspection: introspection.optional(),
    algorithms: z
      .array(z.enum([...ASYMMETRIC, ...SYMMETRIC]))
      .min(1)
      .optional()
      .describe(
        'Signature algorithms that count. Default RS256, PS256, ES256, EdDSA; with shared_secret HS256.',
      ),
    audience: parsed(textOrList, (value) => (typeof value === 'string' ? [value] : value))
      .prefault([])
      .describe('One of these must be in aud, where a policy states no audience of its own.'),
    types: z
      .array(z.string())
      .prefault(['', 'JWT', 'at+jwt'])
      .describe('typ values that count, "" for none. Default "", JWT and at+jwt. RFC 9068 demands at+jwt.'),
    roles_claim: claimPath
      .prefault('roles')
      .describe(
        'Claim with the roles: a name, or a JSON pointer such as /realm_access/roles. Default roles.',
      ),
    leeway: duration({ minMs: 0, maxMs: 60_000 })
      .prefault('30s')
      .describe('How far clocks may differ, 0s to 60s. Default 30s.'),
    ca_file: filePath.optional().describe('PEM file of a private certificate authority.'),
  })
  .check(({ value, issues }) => {
    const problem = (message: string) =>
      issues.push({ code: 'custom', message, input: value, continue: true });
    if (value.introspection !== undefined) {
      for (const key of ['issuer', 'jwks_uri', 'jwks_file', 'shared_secret', 'algorithms'] as const) {
        if (value[key] !== undefined) problem(`${key} has no meaning beside introspection`);
      }
      return;
    }
    if (value.issuer === undefined) problem('expected issuer (the iss of its tokens) or introspection');
    const stated = (['jwks_uri', 'jwks_file', 'shared_secret'] as const).filter(
      (k) => value[k] !== undefined,
    );
    if (stated.length > 1)
      problem(`expected one of jwks_uri, jwks_file and shared_secret, got ${stated.join(' and ')}`);
    const symmetric = value.algorithms?.filter((name) => name.startsWith('HS')) ?? [];
    if (value.shared_secret === undefined && symmetric.length > 0) {
      problem(`${symmetric[0]} needs shared_secret: with public keys anyone could sign`);
    }
    if (value.shared_secret !== undefined && symmetric.length < (value.algorithms?.length ?? 0)) {
      problem('beside shared_secret only HS256, HS384 and HS512 have a meaning');
    }
    if (value.issuer !== undefined && stated.length === 0 && !URL.canParse(value.issuer)) {
      problem('discovery needs an issuer that is an address; else state jwks_uri or jwks_file');
    }
  })
  .meta({ description: 'An issuer of tokens: issuer with its keys, or introspection.' });

export const issuers = z.record(nameText('issuer'), issuer).default({});
