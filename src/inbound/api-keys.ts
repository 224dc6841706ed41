// API keys of one's own callers. Only SHA-256 hashes are stored: keys are long random texts, so nothing slower is needed.
import { hash } from 'node:crypto';
import * as z from 'zod';
import type { Clock } from '../lib/clock.ts';
import { type BucketSize, TokenBucket } from '../lib/token-bucket.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { Followed } from './followed.ts';
import { createFollowedFile } from './followed-file.ts';
import { createVerifiedToken, type VerifiedToken } from './verified-token.ts';
import { parseYamlText } from './yaml-text.ts';

export interface ApiKey {
  readonly id: string;
  /** Only active ones count. */
  readonly active: boolean;
  readonly token: VerifiedToken;
  readonly limit: BucketSize | undefined;
  readonly bucket: TokenBucket | undefined;
}

const MAX_KEY_BYTES = 1_024;
const date = z.iso.datetime({ offset: true, error: 'expected a time such as 2026-01-31T12:00:00Z' });

/** Which key is not known is not told: it may be a value that lost its key. */
function strict<S extends z.ZodRawShape>(shape: S) {
  const known = `expected no other keys than ${Object.keys(shape).join(', ')}`;
  return z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? known : undefined),
  });
}

const file = strict({
  keys: z.array(
    strict({
      id: z.string().min(1).max(128),
      sha256: z.string().regex(/^[0-9a-f]{64}$/, {
        error: 'expected 64 hexadecimal digits in lower case (printf %s KEY | sha256sum)',
      }),
      // The words of outbound key rings; only one of them lets a caller in. No default: a file may be cut before the word.
      state: z.enum(['generated', 'active', 'suspended', 'revoked']),
      not_before: date.optional(),
      expires_at: date.optional(),
      scopes: z.array(z.string()).default([]),
      roles: z.array(z.string()).default([]),
      rate_limit: strict({
        requests: z.int().min(1),
        per_seconds: z.number().min(0.1).default(1),
        burst: z.int().min(1).optional(),
      }).optional(),
    }),
  ),
});

type Entry = z.output<typeof file>['keys'][number];

export class ApiKeys {
  #byHash = new Map<string, ApiKey>();

  /** Number of keys. Throws with a message that quotes nothing. */
  take(text: string, now: number): number {
    const result = file.safeParse(parseYamlText(text));
    if (!result.success) {
      // What was expected, and nothing of what stands there.
      const { path, message } = result.error.issues[0]!;
      const place = path
        .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
        .join('');
      throw new Error(`${place.slice(1) || 'the file'}: ${message}`);
    }
    const before = new Map([...this.#byHash.values()].map((key) => [key.id, key]));
    const next = new Map<string, ApiKey>();
    for (const entry of result.data.keys) {
      if (next.has(entry.sha256)) throw new Error(`the hash of ${entry.id} stands there twice`);
      next.set(entry.sha256, toKey(entry, before.get(entry.id), now));
    }
    this.#byHash = next;
    return next.size;
  }

  /** undefined for an unknown one. The look-up is by hash, so its time tells nothing of the keys. */
  find(value: string): ApiKey | undefined {
    return value.length > MAX_KEY_BYTES ? undefined : this.#byHash.get(hash('sha256', value, 'hex'));
  }
}

function toKey(entry: Entry, before: ApiKey | undefined, now: number): ApiKey {
  const { id, state, not_before, expires_at, scopes, roles, rate_limit } = entry;
  const seconds = (text: string | undefined) => (text === undefined ? undefined : Date.parse(text) / 1_000);
  const claims = {
    sub: id,
    client_id: id,
    scope: scopes.join(' '),
    roles,
    ...(not_before === undefined ? {} : { nbf: seconds(not_before) }),
    ...(expires_at === undefined ? {} : { exp: seconds(expires_at) }),
  };
  const origin = { kind: 'api_key', issuer: -1, rolesClaim: ['roles'], leewayMs: 0, key: undefined } as const;
  const limit = rate_limit && {
    requests: rate_limit.requests,
    perMs: rate_limit.per_seconds * 1_000,
    burst: rate_limit.burst ?? rate_limit.requests,
  };
  // A file that is written anew must not refill the buckets.
  const same = before?.bucket !== undefined && JSON.stringify(before.limit) === JSON.stringify(limit);
  return {
    id,
    active: state === 'active',
    token: createVerifiedToken(claims, origin)!,
    limit,
    bucket: limit && (same ? before.bucket : new TokenBucket(limit, now)),
  };
}

export interface ApiKeysFileDeps {
  readonly path: string;
  readonly keys: ApiKeys;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createApiKeysFile({ path, keys, clock, observer }: ApiKeysFileDeps): Followed {
  return createFollowedFile({
    path,
    name: 'api keys',
    take: (text) => keys.take(text, clock.monotonic()),
    clock,
    observer,
  });
}
