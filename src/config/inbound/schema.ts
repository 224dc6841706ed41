// inbound: who may call, and with what right.
import * as z from 'zod';
import { parseHeaderName } from '../header.ts';
import { duration, exactlyOne, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import { issuers } from './schema-issuers.ts';
import { failedAttempts, inboundPolicy, rolloutMode } from './schema-policy.ts';

const roles = z.record(z.string().min(1), z.array(z.string().min(1)));

const revocation = z
  .strictObject({
    file: filePath
      .optional()
      .describe('JSON lines, written by "bearerd revoke"; followed four times a second.'),
    shared: z
      .literal(true)
      .optional()
      .describe('In Redis, for the whole fleet: needs shared_cache. Written by "bearerd revoke" too.'),
    max_age: duration({ minMs: 1_000, maxMs: 86_400_000 })
      .optional()
      .describe(
        'After this long without a readable list every token is refused. Default: the last list counts on.',
      ),
  })
  .check(exactlyOne('file', 'shared'))
  .meta(oneOfKeys('file', 'shared'))
  .describe('Tokens refused before their end, by jti, sub, sid, client or time of issue.');

const apiKeys = z
  .strictObject({
    file: filePath.describe('YAML or JSON with the hashes of keys; followed four times a second.'),
    header: parsed(z.string(), parseHeaderName).prefault('x-api-key').describe('Default x-api-key.'),
  })
  .describe('Keys of callers. Only hashes are stored.');

export const inbound = z
  .strictObject({
    realm: z
      .string()
      .regex(/^[\x20-\x21\x23-\x5b\x5d-\x7e]{1,100}$/, {
        error: 'expected at most 100 visible ASCII characters without quotes and backslashes',
      })
      .default('bearerd')
      .describe('Named in challenges. Default bearerd.'),
    issuers: issuers.describe('Whose tokens count, each under its name.'),
    roles: roles.default({}).describe('Role and its permissions.'),
    roles_file: filePath
      .optional()
      .describe('The same as a file of its own, YAML or JSON, followed four times a second.'),
    revocation: revocation.optional(),
    api_keys: apiKeys.optional(),
    trusted_hops: z
      .int()
      .min(0)
      .max(10)
      .default(0)
      .describe(
        'Proxies in front of Envoy that append to X-Forwarded-For. Default 0: the connection counts.',
      ),
    client_certificate: z
      .enum(['peer', 'xfcc'])
      .default('peer')
      .describe(
        'Where a caller’s certificate is read: Envoy’s attribute, or x-forwarded-client-cert as Envoy sanitised it. Default peer.',
      ),
    verified_token_bytes: z
      .int()
      .min(1 << 20)
      .max(1 << 30)
      .default(32 << 20)
      .describe('Verified tokens kept in memory, bytes. Default 33554432 (32 MiB).'),
    failed_attempts: failedAttempts
      .prefault({ requests: 500, per: '1s', burst: 1_000 })
      .describe(
        'Failed attempts of a policy that are verified; more are answered 429 unseen. Never counts a token that was verified before. Default 500 in 1s, 1000 at once.',
      ),
    mode: rolloutMode
      .default('enforce')
      .describe(
        'Of the policies that state none, and of requests that match none: shadow (decided, counted and logged; every request goes on) or enforce. Default enforce.',
      ),
    policies: z
      .array(inboundPolicy)
      .default([])
      .describe('The first match wins; without one a request is refused.'),
  })
  .describe('Who may call this workload. Needs listen.check_inbound.');
