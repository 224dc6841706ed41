// The keys that seal entries, read anew at most once a second, so that a rotated file counts without a restart.
import type { SecretRef } from '../config/config.ts';
import type { Clock } from '../lib/clock.ts';
import { secretUnreadable } from '../lib/errors.ts';
import { parseSealingKey, type SealingKey } from '../lib/sealed.ts';
import { createSecretReader } from '../lib/secret-ref.ts';

const EVERY_MS = 1_000;

export interface Keys {
  /** The first seals. Rejects with CredentialError secret_unreadable. */
  all(): Promise<readonly SealingKey[]>;
}

export function createKeys(
  refs: readonly SecretRef[],
  env: Readonly<Record<string, string | undefined>>,
  clock: Clock,
): Keys {
  const readers = refs.map((ref) => createSecretReader(ref, env));
  let known: { readonly keys: readonly SealingKey[]; readonly at: number } | undefined;

  async function read(): Promise<readonly SealingKey[]> {
    return Promise.all(
      readers.map(async (reader, i) => {
        const key = parseSealingKey((await reader.read()).reveal());
        if (key !== undefined) return key;
        throw secretUnreadable(
          `shared_cache.keys[${i}] is no key: expected 32 random bytes as base64 or hexadecimal digits (openssl rand -base64 32)`,
        );
      }),
    );
  }

  return {
    async all() {
      const now = clock.monotonic();
      if (known === undefined || now - known.at > EVERY_MS) {
        try {
          known = { keys: await read(), at: now };
        } catch (error) {
          // The last good ones stay in force.
          if (known === undefined) throw error;
          known = { keys: known.keys, at: now };
        }
      }
      return known.keys;
    },
  };
}
