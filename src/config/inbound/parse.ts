// From the file's words to the program's, for the inbound side.
import type * as z from 'zod';
import { resolveSecretRef } from '../source/secret-ref.ts';
import type { InboundConfig, InboundPolicyConfig, IssuerConfig } from './config.ts';
import type { inbound } from './schema.ts';
import { claimPath } from './schema-issuers.ts';

export type FileInbound = z.output<typeof inbound>;
type FileIssuer = FileInbound['issuers'][string];
type ToPath = (relative: string) => string;

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];

export function toInbound(file: FileInbound, path: ToPath): InboundConfig {
  return {
    realm: file.realm,
    mode: file.mode,
    issuers: Object.entries(file.issuers).map(([name, issuer]) => toIssuer(name, issuer, path)),
    roles: file.roles,
    rolesFile: file.roles_file && path(file.roles_file),
    revocation: file.revocation && {
      file: file.revocation.file && path(file.revocation.file),
      maxAgeMs: file.revocation.max_age,
    },
    apiKeys: file.api_keys && { file: path(file.api_keys.file), header: file.api_keys.header },
    trustedHops: file.trusted_hops,
    clientCertificate: file.client_certificate,
    verifiedTokenBytes: file.verified_token_bytes,
    failedAttempts: file.failed_attempts,
    policies: file.policies.map((policy) => toPolicy(policy, file.mode, Object.keys(file.issuers), path)),
  };
}

function toIssuer(name: string, file: FileIssuer, path: ToPath): IssuerConfig {
  const base = {
    name,
    audience: file.audience,
    roles: file.roles_claim,
    caFile: file.ca_file && path(file.ca_file),
    leewayMs: file.leeway,
  };
  if (file.introspection !== undefined) {
    const { endpoint, client_id, client_secret, client_auth, cache } = file.introspection;
    return {
      ...base,
      kind: 'introspection',
      endpoint,
      clientId: client_id,
      clientSecret: resolveSecretRef(client_secret, path),
      clientAuth: client_auth,
      cacheMs: cache,
    };
  }
  return {
    ...base,
    kind: 'jwt',
    issuer: file.issuer!,
    keys:
      file.shared_secret !== undefined
        ? { from: 'shared_secret', secret: resolveSecretRef(file.shared_secret, path) }
        : file.jwks_uri !== undefined
          ? { from: 'url', url: file.jwks_uri }
          : file.jwks_file !== undefined
            ? { from: 'file', path: path(file.jwks_file) }
            : { from: 'discovery' },
    algorithms: file.algorithms ?? (file.shared_secret === undefined ? ALGORITHMS : ['HS256']),
    types: file.types.map((type) => type.toLowerCase().replace(/^application\//, '')),
  };
}

function toPolicy(
  file: FileInbound['policies'][number],
  mode: FileInbound['mode'],
  issuers: readonly string[],
  path: ToPath,
): InboundPolicyConfig {
  return {
    name: file.name,
    mode: file.mode ?? mode,
    match: { hosts: file.match.hosts, methods: file.match.methods, paths: file.match.paths },
    issuers: file.issuers ?? (file.anonymous ? [] : issuers),
    apiKeys: file.api_keys,
    anonymous: file.anonymous,
    audience: file.audience,
    scopes: file.scopes,
    permissions: file.permissions,
    claims: Object.entries(file.claims).map(([claim, test]) => ({ claim: claimPath.parse(claim), test })),
    peers: file.peers,
    networks: file.networks,
    acr: file.acr,
    amr: file.amr,
    maxAuthAgeMs: file.max_auth_age,
    requireTls: file.require_tls,
    bound: file.bound,
    publicUrl: file.public_url,
    signature: file.signature && { ...file.signature, keysFile: path(file.signature.keysFile) },
    rateLimit: file.rate_limit?.rateLimit,
    bodyLimit: file.rate_limit?.bodyLimit,
    cors: file.cors,
    forward: file.forward,
    token: file.token,
  };
}
