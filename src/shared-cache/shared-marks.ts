// What the inbound sides of a tenant share: marks of what works once, and the list of revocations. Nothing of it is secret:
// marks are hashes, and the list is written by an operator; sidecars only read it.
import { hash } from 'node:crypto';
import { BACKGROUND_MS, type Redis } from './redis.ts';

/** Somebody waits, and a proof must not be taken twice for a Redis that is merely slow. */
const MARK_MS = 100;
/** A process whose clock is behind takes a proof for so much longer than the one that marked it; beyond it clocks are an alarm. */
const CLOCKS_MS = 60_000;

/** KEYS mark · ARGV milliseconds → 1 the first time, else 0. */
const MARK = `return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0`;
/** As of a file (followed-file.ts): more must not be carried here. */
const MAX_BYTES = 32 << 20;
/**
 * KEYS list · ARGV version known → the version and, if it is another, all lines, or false where they are too many. A number of
 * lines alone would miss a flush.
 */
const READ = `
local last = redis.call('LINDEX', KEYS[1], -1) or ''
local version = redis.call('LLEN', KEYS[1]) .. ':' .. redis.sha1hex(last)
if version == ARGV[1] then return {version} end
local lines = table.concat(redis.call('LRANGE', KEYS[1], 0, -1), '\\n')
return {version, #lines <= ${MAX_BYTES} and lines}`;
const APPEND = `return redis.call('RPUSH', KEYS[1], ARGV[1])`;

export interface SharedMarks {
  /** Whether it is the first time in the whole fleet; true as well while Redis is away. */
  first(what: string, forMs: number): Promise<boolean>;
  /** The list of revocations: its version and, if not `known`, its lines; undefined = no answer. Rejects where it is too long. */
  revocations(
    known: string,
  ): Promise<{ readonly version: string; readonly lines: string | undefined } | undefined>;
  /** Number of lines then; undefined = not written. */
  revoke(line: string): Promise<number | undefined>;
}

export function createSharedMarks(redis: Redis, tenant: string): SharedMarks {
  const list = `bearerd:${tenant}:revocations`;
  /** Version of a list that is too long: Redis must not put it together again for every look. */
  let tooLong: string | undefined;
  return {
    async first(what, forMs) {
      const name = `bearerd:${tenant}:seen:${hash('sha256', what, 'base64url')}`;
      return (await redis.run(MARK, [name], [String(Math.ceil(forMs + CLOCKS_MS))], MARK_MS)) !== 0;
    },
    async revocations(known) {
      const reply = await redis.run(READ, [list], [tooLong ?? known], BACKGROUND_MS);
      if (!Array.isArray(reply)) return undefined;
      const [version, lines] = reply as [unknown, unknown];
      if (typeof version !== 'string') return undefined;
      tooLong = lines === null || version === tooLong ? version : undefined;
      if (tooLong !== undefined) throw new Error(`larger than ${MAX_BYTES} bytes`);
      return { version, lines: typeof lines === 'string' ? lines : undefined };
    },
    async revoke(line) {
      const reply = await redis.run(APPEND, [list], [line], BACKGROUND_MS);
      return typeof reply === 'number' ? reply : undefined;
    },
  };
}
