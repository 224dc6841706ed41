// One sealed text in Redis that many processes use in turn: who may is told by a lease, and a write counts only where
// nobody wrote since. Unlike an entry it is no copy of anything, so whoever needs it is told when Redis does not answer.
import { randomUUID } from 'node:crypto';
import { seal, unseal } from '../lib/sealed.ts';
import type { Invalidations } from './invalidations.ts';
import type { Keys } from './keys.ts';
import { BACKGROUND_MS, type Redis } from './redis.ts';
import { MAX_ENTRY_BYTES, RELEASE } from './scripts.ts';

/** KEYS lease · ARGV holder, milliseconds → milliseconds until another's lease ends; 0 = it is ours. */
const HOLD = `
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
return math.max(1, redis.call('PTTL', KEYS[1]))`;
/** KEYS record → version and text, or false. */
const READ = `
local text = redis.call('HGET', KEYS[1], 'text')
return {redis.call('HGET', KEYS[1], 'version'), text and #text <= ${MAX_ENTRY_BYTES} and text}`;
/**
 * KEYS record, lease · ARGV text, version that it follows ('' = whatever there is), holder ('' = no lease needed), milliseconds
 * of the lease from now → the new version, or 0 = somebody wrote since or has the lease. What was flushed is written anew, and what is no record
 * is replaced where no version is to be followed.
 */
const WRITE = `
local version = tonumber(redis.pcall('HGET', KEYS[1], 'version') or '0')
if not version or version ~= version then
  if ARGV[2] ~= '' then return 0 end
  redis.call('DEL', KEYS[1])
  version = 0
end
local known = tonumber(ARGV[2]) or version
if version ~= 0 and version ~= known then return 0 end
if ARGV[3] ~= '' then
  if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 0 end
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
redis.call('HSET', KEYS[1], 'version', known + 1, 'text', ARGV[1])
return known + 1`;
const DROP = `return redis.call('DEL', KEYS[1])`;

/** Of all methods undefined = Redis did not answer. Rejects with CredentialError secret_unreadable. */
export interface SharedRecord {
  readonly name: string;
  /** Milliseconds until another's lease ends; 0 = it is ours for `leaseMs`. */
  hold(leaseMs: number): Promise<number | undefined>;
  release(): Promise<void>;
  /** `version` 0 = nothing lies there; `text` undefined then, and where it does not open. */
  read(): Promise<{ readonly version: number; readonly text: string | undefined } | undefined>;
  /** The new version; 0 = somebody wrote after `follows`. `leaseMs`: only while the lease is ours, which lasts so long then. */
  write(text: string, follows: number, leaseMs?: number): Promise<number | undefined>;
  /** In place of whatever there is. What the fleet shares by the old one is dropped, and `watch` is told everywhere. */
  replace(text: string): Promise<number | undefined>;
  watch(changed: () => void): () => void;
}

export interface SharedRecordDeps {
  readonly redis: Redis;
  readonly keys: Keys;
  readonly invalidations: Invalidations;
  /** Name of the entry of what was obtained by the record. */
  readonly entry: () => Promise<string>;
}

/** `base` = of its names in Redis. */
export function createSharedRecord(base: string, deps: SharedRecordDeps): SharedRecord {
  const { redis, keys, invalidations } = deps;
  const [name, lease] = [`${base}:record`, `${base}:lease`];
  const holder = randomUUID();

  async function put(
    text: string,
    follows: string,
    by: string,
    leaseMs: number,
  ): Promise<number | undefined> {
    const [key] = await keys.all();
    const args = [seal(text, key!, name), follows, by, String(leaseMs)];
    const version = await redis.run(WRITE, [name, lease], args, BACKGROUND_MS);
    return typeof version === 'number' ? version : undefined;
  }

  return {
    name,
    async hold(leaseMs) {
      const leftMs = await redis.run(HOLD, [lease], [holder, String(leaseMs)], BACKGROUND_MS);
      return typeof leftMs === 'number' ? leftMs : undefined;
    },
    async release() {
      await redis.run(RELEASE, [lease], [holder], BACKGROUND_MS);
    },
    async read() {
      const reply = await redis.run(READ, [name], [], BACKGROUND_MS);
      if (!Array.isArray(reply)) return undefined;
      const [version, text] = reply as [unknown, unknown];
      return {
        version: Number(version ?? 0),
        text: typeof text === 'string' ? unseal(text, await keys.all(), name) : undefined,
      };
    },
    write: (text, follows, leaseMs) =>
      put(text, String(follows), leaseMs === undefined ? '' : holder, leaseMs ?? 0),
    async replace(text) {
      const entry = await deps.entry();
      const version = await put(text, '', '', 0);
      if (version === undefined) return undefined;
      await redis.run(DROP, [entry], [], BACKGROUND_MS);
      await invalidations.announce(name, version);
      return version;
    },
    watch: (changed) =>
      invalidations.listen((entry) => {
        if (entry === name) changed();
      }),
  };
}
