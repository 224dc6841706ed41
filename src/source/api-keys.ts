// API keys of a ring file: the best one that the ring allows and no upstream has refused. Reads, never writes.
import { createHash } from 'node:crypto';
import type { SourceConfig } from '../config/config.ts';
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import { keyNotices, nextChangeAt, usableKeys } from '../key-ring/choice.ts';
import { parseKeyRing, RingFault, type RingKey } from '../key-ring/ring.ts';
import type { Timer } from '../lib/clock.ts';
import { CredentialError, secretUnreadable } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';
import { createSecretReader, readSecretFile } from '../lib/secret-ref.ts';
import { watchFile, watchFiles } from '../lib/watch.ts';
import type { KeyNotice } from '../telemetry/event-details.ts';
import { expiryOf } from './jwt-expiry.ts';
import type { SourceDeps } from './registry.ts';

type ApiKeysConfig = Extract<SourceConfig, { type: 'api_keys' }>;

const HOUR_MS = 3_600_000;
/** The ring is read again at least so often, whatever its times say: timers are of the monotonic clock. */
const LOOK_AGAIN_MS = 12 * HOUR_MS;
/** A notice that stays true is told again. */
const REPEAT_MS = 24 * HOUR_MS;

export function createApiKeysSource(config: ApiKeysConfig, deps: SourceDeps): TokenSource {
  const { name, ring: file, graceMs } = config;
  const { clock, env, observer } = deps;
  let ring: readonly RingKey[] = [];
  // SHA-256 of refused values, in the order of their refusal. A new value in the file is a new key.
  const refused = new Set<string>();
  const told = new Map<string, number>();
  let stopValues = (): void => {};
  let followed = '';
  let changed: (() => void) | undefined;

  /** The last good ring stays in force while the file cannot be used. */
  async function load(): Promise<void> {
    let next: readonly RingKey[];
    try {
      next = parseKeyRing(await readSecretFile(file), file);
    } catch (error) {
      if (ring.length === 0) throw asCredentialError(error);
      observer.keyRingRefused(name, (error as Error).message);
      return;
    }
    ring = next;
    observer.keyRingRead(name, ring);
    followValues();
    notice();
  }

  function followValues(): void {
    const files = ring.map((key) => key.file);
    if (changed === undefined || files.join('\0') === followed) return;
    followed = files.join('\0');
    stopValues();
    stopValues = watchFiles(files, clock, changed);
  }

  function notice(): void {
    const now = clock.now();
    for (const key of ring) for (const what of keyNotices(key, now)) tell(key.id, what);
  }

  function tell(id: string, what: KeyNotice): void {
    const last = told.get(`${id} ${what}`);
    if (last !== undefined && clock.monotonic() - last < REPEAT_MS) return;
    told.set(`${id} ${what}`, clock.monotonic());
    observer.keyNoticed(name, id, what);
  }

  async function issue(request: IssueRequest): Promise<IssuedToken> {
    await load();
    const refusedNow = request.refused === undefined ? undefined : fingerprint(request.refused);
    if (refusedNow !== undefined) {
      refused.delete(refusedNow);
      refused.add(refusedNow);
    }
    const now = clock.now();
    const candidates: { key: RingKey; value: Secret; print: string }[] = [];
    let unreadable: unknown;
    for (const key of usableKeys(ring, now, graceMs)) {
      try {
        const value = await createSecretReader({ from: 'file', path: key.file }, env).read();
        candidates.push({ key, value, print: fingerprint(value) });
      } catch (error) {
        // One broken file does not take the others away.
        unreadable ??= error;
      }
    }
    for (const { key, print } of candidates) {
      if (print === refusedNow) observer.keyRefused(name, key.id);
    }
    const best = candidates.find(({ print }) => !refused.has(print));
    if (best !== undefined) return tokenOf(best.key, best.value, now);
    if (candidates.length === 0) {
      throw unreadable ?? secretUnreadable(`${file}: no key may be used now; see bearerd keys list`);
    }
    if (refusedNow !== undefined) {
      throw new CredentialError(
        'source_rejected',
        `${file}: the upstream refused every key that may be used`,
        {
          retryable: false,
        },
      );
    }
    // Refused all: the one whose refusal is the longest ago, since the upstream may have been in the wrong.
    const order = [...refused];
    candidates.sort((a, b) => order.indexOf(a.print) - order.indexOf(b.print));
    return tokenOf(candidates[0]!.key, candidates[0]!.value, now);
  }

  function tokenOf(key: RingKey, value: Secret, now: number): IssuedToken {
    const end = Math.min(key.expiresAt, expiryOf(value.reveal()) ?? Number.POSITIVE_INFINITY);
    const lifetimeMs = end === Number.POSITIVE_INFINITY ? undefined : end - now;
    const refreshAfterMs = Math.min(nextChangeAt(ring, now, graceMs) - now, LOOK_AGAIN_MS);
    return { value, lifetimeMs, refreshAfterMs, keyId: key.id };
  }

  return {
    name,
    type: 'api_keys',
    endpoint: `api_keys:${file}`,
    syntax: 'header_value',
    perSubject: false,
    issue,
    watch(listener) {
      changed = listener;
      const stopRing = watchFile(file, clock, () => {
        // Whoever wrote it has judged anew.
        refused.clear();
        listener();
      });
      let timer: Timer;
      const hourly = (): void => {
        notice();
        timer = clock.setTimer(hourly, HOUR_MS);
      };
      hourly();
      followValues();
      return () => {
        changed = undefined;
        timer.cancel();
        stopRing();
        stopValues();
      };
    },
  };
}

function fingerprint(value: Secret): string {
  return createHash('sha256').update(value.reveal()).digest('base64');
}

function asCredentialError(error: unknown): unknown {
  if (!(error instanceof RingFault)) return error;
  return secretUnreadable(error.message);
}
