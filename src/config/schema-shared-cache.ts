// The schema of `shared_cache`: a Redis that the fleet of one tenant shares.
import * as z from 'zod';
import { isLoopback } from '../lib/address.ts';
import { refuse } from './invalid.ts';
import { exactlyOne, filePath, oneOfKeys, parsed } from './schema-values.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './source/secret-ref.ts';

export interface SharedCacheConfig {
  readonly redis: RedisConfig;
  /** Blast radius of the keys, and part of every name in Redis. */
  readonly tenant: string;
  /** The first seals, all of them open. */
  readonly keys: readonly SecretRef[];
  /** Sources whose tokens of single users may enter. */
  readonly perUserSources: readonly string[];
}

export interface RedisConfig {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  readonly nodes: readonly RedisNode[];
  /** Of the master, for sentinel. */
  readonly masterName: string | undefined;
  readonly tls: { readonly caFile: string | undefined; readonly serverName: string | undefined } | undefined;
  readonly username: string | undefined;
  readonly password: SecretRef | undefined;
}

export interface RedisNode {
  readonly host: string;
  readonly port: number;
}

interface TlsOptions {
  readonly ca_file?: string | undefined;
  readonly server_name?: string | undefined;
}

const DEFAULT_PORT = 6379;

/** `redis.cache.svc:6379`, `10.0.0.1`, `[::1]:6380`. Throws Invalid. */
function parseNode(text: string): RedisNode {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text);
  // As a redis:// address may have it.
  if (text.includes('@')) refuse('expected HOST:PORT; user and password are username and password beside it');
  if (!match) refuse(`expected HOST:PORT such as redis.cache.svc:6379, got "${text}"`);
  const port = match[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (port < 1 || port > 65_535) refuse(`a port is from 1 to 65535, got ${port}`);
  return { host: (match[1] ?? match[2])!, port };
}

const node = parsed(z.string(), parseNode);
const nodes = z.array(node).min(1);

const redis = z
  .strictObject({
    address: node.optional().describe('One Redis or Valkey: HOST:PORT. Default port 6379.'),
    cluster: nodes.optional().describe('Some nodes of a cluster, to find the others by.'),
    sentinel: z
      .strictObject({
        nodes: nodes.describe('Sentinels.'),
        master: z.string().min(1).describe('Name under which they know the master.'),
      })
      .optional()
      .describe('Sentinels that name the master.'),
    tls: z
      .union([
        z.boolean().transform((on): TlsOptions | undefined => (on ? {} : undefined)),
        z.strictObject({
          ca_file: filePath.optional().describe('PEM file of a private certificate authority.'),
          server_name: z.string().min(1).optional().describe('Name in its certificate. Default: the host.'),
        }),
      ])
      .optional()
      .describe('true, or { ca_file, server_name }. Needed in production beyond loopback.'),
    username: z.string().min(1).optional().describe('User of the ACL. Default: Redis’s default user.'),
    password: secretRef.optional().describe('Reference to the password: { file: /path } or { env: NAME }.'),
  })
  .check(exactlyOne('address', 'cluster', 'sentinel'))
  // The client would go on as the default user.
  .refine(({ username, password }) => username === undefined || password !== undefined, {
    error: 'expected password beside username',
  })
  .meta(oneOfKeys('address', 'cluster', 'sentinel'));

export const sharedCache = z
  .strictObject({
    redis: redis.describe('Redis 7 or newer, or Valkey: exactly one of address, cluster and sentinel.'),
    tenant: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, {
        error: 'expected a name of lower-case letters, digits and "-", at most 63: the namespace or client',
      })
      .describe(
        'Namespace or client that shares. Part of every key’s name; each has its own keys and ACL user.',
      ),
    keys: z
      .array(secretRef)
      .min(1, { error: 'expected at least one key: 32 random bytes (openssl rand -base64 32)' })
      .max(8)
      .describe(
        'References to keys that seal the entries, 32 random bytes as base64 or hexadecimal each. The first seals, all of them open.',
      ),
    per_user_sources: z
      .array(z.string())
      .default([])
      .describe(
        'Sources whose tokens of single users may be shared too, also those that policies ask them for in place of their own audience, scope or resource. Default: none.',
      ),
  })
  .describe('A Redis that the fleet of one tenant shares: one fetch for all. Default: none, memory only.');

type Value = z.output<typeof sharedCache>;

/** `named` gives the names of the sources that stand for one of the file. */
export function toSharedCache(
  value: Value,
  path: (relative: string) => string,
  named: (source: string) => readonly string[],
): SharedCacheConfig {
  const { address, cluster, sentinel, tls, username, password } = value.redis;
  return {
    redis: {
      kind: address ? 'single' : cluster ? 'cluster' : 'sentinel',
      nodes: address ? [address] : (cluster ?? sentinel!.nodes),
      masterName: sentinel?.master,
      tls: tls && {
        caFile: tls.ca_file === undefined ? undefined : path(tls.ca_file),
        serverName: tls.server_name,
      },
      username,
      password: password && resolveSecretRef(password, path),
    },
    tenant: value.tenant,
    keys: value.keys.map((key) => resolveSecretRef(key, path)),
    perUserSources: value.per_user_sources.flatMap(named),
  };
}

/** Whether everybody on the way could read along: no TLS, and not on this machine. */
export function isReadOnTheWay({ redis: { address, cluster, sentinel, tls } }: Value): boolean {
  const all = address ? [address] : (cluster ?? sentinel?.nodes ?? []);
  return tls === undefined && all.some(({ host }) => !isLoopback(host));
}
