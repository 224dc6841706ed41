// A token source behind the shared cache: one process of the fleet asks the provider, the others take what it wrote.
// Whatever Redis does, the worst is a miss: then this process asks by itself, as if there were no Redis.
import { randomUUID } from 'node:crypto';
import type { SourceConfig } from '../config/config.ts';
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import { effectiveLifetimeMs } from '../credential/lifetime.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type Entry, entryLeftMs, entryOf, issuedOf, sealEntry } from './entry.ts';
import type { Invalidations } from './invalidations.ts';
import type { Keys } from './keys.ts';
import { createLooks, type Look } from './look.ts';
import { type EntryNames, entryNames, identityOf, type SecretHash } from './name.ts';
import { BACKGROUND_MS, COLD_MS, type Redis } from './redis.ts';
import { RELEASE, SPEND, WRITE } from './scripts.ts';

/** A request waits and the holder of the lease has been at it for so long: it may be dead, and we ask by ourselves. */
const PATIENCE_MS = 2_000;
/** In the background, and up to half as much again, so that a fleet does not go all at once; the store waits for 5 s. */
const BACKGROUND_PATIENCE_MS = 2_500;
/** With a credential in hand another's renewal is waited for this long, then looked for again later. */
const RENEWAL_PATIENCE_MS = 1_500;
const SECOND_LOOK_MS = 1_000;
/** Less is left: at once. Enough for a slow provider and a second try of it. */
const PUT_OFF_LEFT_MS = 6_000;
const PUT_OFF_SHARE = 0.6;
const LOOK_AGAIN_MS = 3_000;
const POLL_MS = { first: 25, most: 250 };
/** Renewals are due for all at once; they come over this share of the life, so the first is alone. */
const SPREAD_SHARE = 0.05;
const SPREAD_MS = 15_000;
/** A fleet that is told of a newer one does not fetch it in the same instant. */
const ARRIVAL_SPREAD_MS = 300;
/** Of the whole fleet and one credential: five, then one in 30 s. As for one process without it. */
const FORCED = { burst: 5, everyMs: 30_000 };

export interface SharedSourceDeps {
  readonly config: SourceConfig;
  readonly tenant: string;
  readonly redis: Redis;
  readonly keys: Keys;
  readonly invalidations: Invalidations;
  readonly clock: Clock;
  readonly secretHash: SecretHash;
  readonly observer: Observer;
  readonly random: () => number;
}

export function createSharedSource(source: TokenSource, deps: SharedSourceDeps): TokenSource {
  const { config, tenant, redis, keys, invalidations, clock, observer, random } = deps;
  const holder = randomUUID();
  const writes = new Set<Promise<void>>();
  const { look, seek, saw } = createLooks(source, { ...deps, holder });
  let hasLooked = false;
  /** What the store was given last. */
  let current: { readonly issued: IssuedToken; readonly at: number } | undefined;
  let wasPutOff = false;
  /** Of the entry that the store has now. */
  let given = 0;
  /** Of the entry that this process reads; undefined before the first look, and for single users. */
  let own: string | undefined;

  const isDue = ({ entry, leftMs }: Look): boolean => entry !== undefined && leftMs <= entry.refreshAtLeftMs;

  /** undefined = it ended while we waited. */
  function take(entry: Entry, leftMs: number, refreshAfterMs?: number): IssuedToken | undefined {
    if (!source.perSubject) given = entry.fence;
    const lifetimeMs = leftMs + entry.marginMs;
    const spread = random() * Math.min(SPREAD_MS, lifetimeMs * SPREAD_SHARE);
    const after = refreshAfterMs ?? Math.max(0, leftMs - entry.refreshAtLeftMs) + spread;
    return issuedOf(entry, leftMs, clock.now(), after);
  }

  /** Asks the provider with the lease in hand, and tells the fleet. */
  async function fetchFor(names: EntryNames, fence: number, request: IssueRequest): Promise<IssuedToken> {
    let issued: IssuedToken;
    try {
      issued = await source.issue(request);
    } catch (error) {
      release(names);
      throw error;
    }
    const lifetimeMs = issued.lifetimeMs && effectiveLifetimeMs(issued, config.maxLifetimeMs);
    const entry = entryOf({ ...issued, lifetimeMs }, fence, clock.now());
    if (entry === undefined) {
      release(names);
      return issued;
    }
    saw(fence);
    // Nobody waits for it: who needs the token has it.
    void tracked(write(names, entry, request.refused !== undefined));
    return take(entry, entryLeftMs(entry, clock.now())) ?? issued;
  }

  function release({ lease }: EntryNames): void {
    void tracked(redis.run(RELEASE, [lease], [holder], BACKGROUND_MS).then(() => {}));
  }

  async function write(names: EntryNames, entry: Entry, isForced: boolean): Promise<void> {
    const leftMs = entryLeftMs(entry, clock.now());
    const key = (await keys.all())[0];
    if (leftMs <= 0 || key === undefined) return;
    const { entry: name, lease, fences } = names;
    const reply = await redis.run(
      WRITE,
      [name, lease, fences],
      [holder, String(entry.fence), sealEntry(entry, key, name), String(leftMs)],
      BACKGROUND_MS,
    );
    const result = reply === undefined ? 'unavailable' : reply === 1 ? 'written' : 'overtaken';
    observer.sharedCacheWritten(source.name, result);
    if (result === 'written' && isForced) await invalidations.announce(name, entry.fence);
  }

  /** close() waits for it. */
  async function tracked(write: Promise<void>): Promise<void> {
    writes.add(write);
    try {
      await write;
    } catch (error) {
      observer.unexpected('shared cache', error);
    } finally {
      writes.delete(write);
    }
  }

  /** Until another holder of the lease has written, has given up, or has had it for too long. */
  async function awaitOther(
    names: EntryNames,
    request: IssueRequest,
    isWanted: (entry: Entry) => boolean,
    patienceMs: number,
    budgetMs: number,
  ): Promise<Look | undefined> {
    const startedAt = clock.monotonic();
    for (let pause = POLL_MS.first; ; pause = Math.min(POLL_MS.most, pause * 2)) {
      await sleep(pause * (0.5 + random()), request.signal);
      const now = await seek(names, budgetMs);
      if (now === undefined || now.fence !== undefined) return now;
      if (now.entry !== undefined && isWanted(now.entry)) return now;
      if (request.signal.aborted || clock.monotonic() - startedAt > patienceMs) return now;
    }
  }

  async function sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(done, ms);
      function done() {
        timer.cancel();
        signal.removeEventListener('abort', done);
        resolve();
      }
      signal.addEventListener('abort', done);
    });
  }

  /** No entry: one asks, the others wait for it. */
  async function first(
    names: EntryNames,
    request: IssueRequest,
    found: Look,
    isCold: boolean,
  ): Promise<IssuedToken> {
    let now: Look | undefined = found;
    if (now.fence === undefined) {
      const patienceMs = isCold
        ? PATIENCE_MS - (found.heldForMs ?? 0)
        : BACKGROUND_PATIENCE_MS * (1 + random() / 2);
      now = await awaitOther(names, request, () => true, patienceMs, isCold ? COLD_MS : BACKGROUND_MS);
    }
    const taken = now?.entry && take(now.entry, now.leftMs);
    if (taken !== undefined) return taken;
    if (now?.fence !== undefined) return fetchFor(names, now.fence, request);
    // Redis went away, or the holder may be dead.
    return source.issue(request);
  }

  /** An entry whose renewal is due: one renews, and the others go on with what there is. */
  async function renewed(names: EntryNames, request: IssueRequest, due: Look): Promise<IssuedToken> {
    const entry = due.entry!;
    const isNew = entry.fence !== given;
    const now = (await look(names, 'always', BACKGROUND_MS)) ?? (await secondLook(names, request));
    if (now === undefined) return source.issue(request).catch(orElse(isNew, entry, due.leftMs));
    if (now.entry !== undefined && !isDue(now)) {
      if (now.fence !== undefined) release(names);
      return take(now.entry, now.leftMs) ?? source.issue(request);
    }
    if (now.fence !== undefined) {
      return fetchFor(names, now.fence, request).catch(orElse(isNew, entry, due.leftMs));
    }
    const later = await awaitOther(
      names,
      request,
      (other) => other.fence > entry.fence,
      RENEWAL_PATIENCE_MS,
      BACKGROUND_MS,
    );
    const best = later?.entry ?? entry;
    const leftMs = later?.entry === undefined ? due.leftMs : later.leftMs;
    const again = Math.min(LOOK_AGAIN_MS, leftMs / 5) * (0.5 + random());
    const after = best.fence > entry.fence ? undefined : again;
    return take(best, leftMs, after) ?? source.issue(request);
  }

  /** A failed renewal is the store's to retry; but one that the store does not have yet is better than none. */
  const orElse = (isNew: boolean, entry: Entry, leftMs: number) => (error: unknown) => {
    const taken = isNew ? take(entry, leftMs, LOOK_AGAIN_MS * (0.5 + random())) : undefined;
    if (taken === undefined) throw error;
    return taken;
  };

  /** An upstream refused what we have: a newer one of another process, or a new one within the fleet's budget. */
  async function replaced(names: EntryNames, request: IssueRequest, refused: string): Promise<IssuedToken> {
    const isOther = (entry: Entry) => entry.value.reveal() !== refused;
    const now = await seek(names, BACKGROUND_MS);
    if (now === undefined) return source.issue(request);
    if (now.entry !== undefined && isOther(now.entry)) {
      return take(now.entry, now.leftMs) ?? source.issue(request);
    }
    const leased = now.fence === undefined ? await forcedLease(names) : now;
    if (leased === undefined) return source.issue(request);
    if (leased.fence !== undefined) return fetchFor(names, leased.fence, request);
    const later = await awaitOther(names, request, isOther, RENEWAL_PATIENCE_MS, BACKGROUND_MS);
    if (later?.entry !== undefined && isOther(later.entry)) {
      return take(later.entry, later.leftMs) ?? source.issue(request);
    }
    if (later?.fence !== undefined) return fetchFor(names, later.fence, request);
    return source.issue(request);
  }

  /** undefined = Redis went away. Throws where the fleet has used up its renewals before time. */
  async function forcedLease(names: EntryNames): Promise<Look | undefined> {
    const { burst, everyMs } = FORCED;
    const waitMs = await redis.run(
      SPEND,
      [`${names.entry}:forced`],
      [String(burst), String(everyMs)],
      BACKGROUND_MS,
    );
    if (typeof waitMs === 'number' && waitMs > 0) {
      throw new CredentialError('source_unavailable', 'the fleet has used up its renewals before time', {
        retryable: true,
        retryAfterMs: waitMs,
      });
    }
    return look(names, 'always', BACKGROUND_MS);
  }

  async function issue(request: IssueRequest): Promise<IssuedToken> {
    const issued = await obtain(request);
    if (!source.perSubject) current = { issued, at: clock.monotonic() };
    return issued;
  }

  /**
   * Redis is away and half a life is left: the whole fleet shares this token and would ask the provider in the same
   * second. Each goes on with it for a part of what is left, once.
   */
  function putOff({ leftMs }: IssueRequest): IssuedToken | undefined {
    if (current === undefined || wasPutOff || leftMs === undefined || leftMs < PUT_OFF_LEFT_MS)
      return undefined;
    const { issued, at } = current;
    if (issued.lifetimeMs === undefined) return undefined;
    wasPutOff = true;
    const lifetimeMs = issued.lifetimeMs - (clock.monotonic() - at);
    return { ...issued, lifetimeMs, refreshAfterMs: random() * leftMs * PUT_OFF_SHARE };
  }

  async function obtain(request: IssueRequest): Promise<IssuedToken> {
    const names = entryNames(tenant, await identityOf(config, deps.secretHash), source, request.subject);
    if (!source.perSubject) own = names.entry;
    if (request.refused !== undefined) return replaced(names, request, request.refused.reveal());
    const isCold = isAwaited(request);
    hasLooked = true;
    const now = (await seek(names, isCold ? COLD_MS : BACKGROUND_MS)) ?? (await secondLook(names, request));
    if (now === undefined) return putOff(request) ?? source.issue(request);
    wasPutOff = false;
    if (now.entry === undefined) return first(names, request, now, isCold);
    if (isDue(now) && !isCold) return renewed(names, request, now);
    // Somebody waits: what is due will do, and the background renews next.
    return take(now.entry, now.leftMs) ?? source.issue(request);
  }

  /** With half a life left in hand, a Redis that was away for a moment is worth a moment: the whole fleet may see it. */
  async function secondLook(names: EntryNames, request: IssueRequest): Promise<Look | undefined> {
    if (request.leftMs === undefined || request.leftMs < PUT_OFF_LEFT_MS) return undefined;
    await sleep(SECOND_LOOK_MS * (1 + random()), request.signal);
    return seek(names, BACKGROUND_MS);
  }

  /** Not the first one of this process, which may be one of a whole fleet that starts, nor while one is left. */
  function isAwaited({ neededBy, leftMs }: IssueRequest): boolean {
    return neededBy !== undefined && leftMs === undefined && (hasLooked || source.perSubject);
  }

  return {
    ...source,
    issue,
    arrived(listener) {
      return invalidations.listen((entry, fence) => {
        if (entry !== own || fence <= given) return;
        clock.setTimer(() => fence > given && listener(), random() * ARRIVAL_SPREAD_MS);
      });
    },
    async close() {
      await Promise.allSettled(writes);
      await source.close?.();
    },
  };
}
