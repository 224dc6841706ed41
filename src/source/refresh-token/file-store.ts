// A refresh token in a sealed file on a writable volume of one holder. Beside it: NAME.login, what a login offers, and
// NAME.lock.N. Each file has one writer, so no write is ever lost to another.
import { access, constants, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { removeDurably, writeDurably } from '../../lib/durable-file.ts';
import { CredentialError, secretUnreadable } from '../../lib/errors.ts';
import { acquireHolderLock, type HolderLock, NotHeldError } from '../../lib/holder-lock.ts';
import { parseSealingKey, type SealingKey, seal, unseal } from '../../lib/sealed.ts';
import type { SecretReader } from '../../lib/secret-ref.ts';
import { watchFile } from '../../lib/watch.ts';
import {
  type HeldRefreshToken,
  parseRefreshToken,
  type RefreshTokenStore,
  refreshTokenText,
  type StoredRefreshToken,
} from './store.ts';

export interface FileStoreDeps {
  readonly path: string;
  readonly key: SecretReader;
  /** Provider, client and source: what was sealed for another one does not open. */
  readonly belongsTo: string;
  readonly clock: Clock;
}

export function createFileStore({ path, key, belongsTo, clock }: FileStoreDeps): RefreshTokenStore {
  const offered = `${path}.login`;
  let lock: HolderLock | undefined;
  let queue: Promise<unknown> = Promise.resolve();

  async function sealingKey(): Promise<SealingKey> {
    const parsed = parseSealingKey((await key.read()).reveal());
    if (parsed === undefined) {
      throw secretUnreadable(
        'store.key is no key: expected 32 random bytes as base64 or hexadecimal digits (openssl rand -base64 32)',
      );
    }
    return parsed;
  }

  async function readSealed(file: string): Promise<StoredRefreshToken | undefined> {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw unavailable(file, 'read', error);
    });
    if (text === undefined) return undefined;
    const opened = unseal(text.trim(), [await sealingKey()], belongsTo);
    const stored = opened === undefined ? undefined : parseRefreshToken(opened);
    if (stored === undefined) {
      throw new CredentialError(
        'store_unavailable',
        `${file} does not open: another key, another provider, client or source name, or damaged`,
        { retryable: true },
      );
    }
    return stored;
  }

  async function writeSealed(file: string, next: StoredRefreshToken): Promise<void> {
    const text = `${seal(refreshTokenText(next), await sealingKey(), belongsTo)}\n`;
    await writeDurably(file, text).catch((error: NodeJS.ErrnoException) => {
      throw unavailable(file, 'written', error);
    });
  }

  const held: HeldRefreshToken = {
    async read() {
      const [stored, offer] = [await readSealed(path), await readSealed(offered)];
      if (offer === undefined) return stored;
      // An older one is what a power cut brought back after it had been taken.
      const isNew = stored === undefined || offer.loginAt > stored.loginAt;
      if (isNew) await writeSealed(path, offer);
      await removeDurably(offered);
      return isNew ? offer : stored;
    },
    write: (next) => writeSealed(path, next),
  };

  async function hold(): Promise<void> {
    lock ??= await acquireHolderLock(`${path}.lock`).catch((error: unknown) => {
      if (!(error instanceof NotHeldError)) throw error;
      throw new CredentialError(
        'store_unavailable',
        `a refresh token has one holder at a time: ${error.message}`,
        { retryable: true },
      );
    });
  }

  return {
    place: path,
    exclusively(work) {
      const turn = queue.then(async () => {
        await hold();
        return work(held);
      });
      queue = turn.catch(() => {});
      return turn;
    },
    async checkOffer() {
      await sealingKey();
      await access(dirname(path), constants.W_OK).catch((error: NodeJS.ErrnoException) => {
        throw unavailable(offered, 'written', error);
      });
    },
    offer: (next) => writeSealed(offered, next),
    watch(changed) {
      const stops = [watchFile(offered, clock, changed)];
      if (key.file !== undefined) stops.push(watchFile(key.file, clock, changed));
      return () => {
        for (const stop of stops) stop();
      };
    },
    async close() {
      await queue;
      await lock?.release();
      lock = undefined;
    },
  };
}

function unavailable(file: string, what: string, { code }: NodeJS.ErrnoException): CredentialError {
  return new CredentialError('store_unavailable', `${file} cannot be ${what}: ${code ?? 'unknown fault'}`, {
    retryable: true,
  });
}
