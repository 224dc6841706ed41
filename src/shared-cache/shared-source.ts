// A token source behind the shared cache: one process of the fleet asks the provider, the others take what it wrote.
// Whatever Redis does, the worst is a miss: then this process asks by itself, as if there were no Redis.
import { randomUUID } from 'node:crypto';
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import { type Entry, entryLeftMs } from './entry.ts';
import { createHolding } from './holding.ts';
import { createLeasedFetch, type LeasedFetchDeps } from './leased-fetch.ts';
import { createLooks, type Look } from './look.ts';
import { type EntryNames, entryNames, identityOf, type SecretHash } from './name.ts';
import { createPatience } from './patience.ts';
import { BACKGROUND_MS, COLD_MS } from './redis.ts';

/** A request waits and the holder of the lease has been at it for so long: it may be dead, and we ask by ourselves. */
const PATIENCE_MS = 2_000;
/** In the background, and up to half as much again, so that a fleet does not go all at once; the store waits for 5 s. */
const BACKGROUND_PATIENCE_MS = 2_500;
/** With a credential in hand another's renewal is waited for this long, then looked for again later. */
const RENEWAL = { patienceMs: 1_500, budgetMs: BACKGROUND_MS };
const LOOK_AGAIN_MS = 3_000;
/** A fleet that is told of a newer one does not fetch it in the same instant. */
const ARRIVAL_SPREAD_MS = 300;

export interface SharedSourceDeps extends Omit<LeasedFetchDeps, 'holder'> {
  readonly tenant: string;
  readonly secretHash: SecretHash;
  readonly random: () => number;
}

export function createSharedSource(source: TokenSource, shared: SharedSourceDeps): TokenSource {
  const deps = { ...shared, holder: randomUUID() };
  const { config, tenant, invalidations, clock, random } = deps;
  const looks = createLooks(source, deps);
  const { look, seek } = looks;
  const { awaitOther, secondLook } = createPatience(looks, clock, random);
  const leased = createLeasedFetch(source, deps);
  const holding = createHolding(source, clock, random);
  const { take } = holding;
  let hasLooked = false;
  /** Of the entry that this process reads; undefined before the first look, and for single users. */
  let own: string | undefined;

  const isDue = ({ entry, leftMs }: Look): boolean => entry !== undefined && leftMs <= entry.refreshAtLeftMs;

  async function fetchFor(names: EntryNames, fence: number, request: IssueRequest): Promise<IssuedToken> {
    const { issued, entry } = await leased.fetch(names, fence, request);
    if (entry === undefined) return issued;
    looks.saw(fence);
    return take(entry, entryLeftMs(entry, clock.now())) ?? issued;
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
      const budgetMs = isCold ? COLD_MS : BACKGROUND_MS;
      now = await awaitOther(names, request, { isWanted: () => true, patienceMs, budgetMs });
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
    const isNew = entry.fence !== holding.fence;
    const now = (await look(names, 'always', BACKGROUND_MS)) ?? (await secondLook(names, request));
    if (now === undefined) return source.issue(request).catch(orElse(isNew, entry, due.leftMs));
    if (now.entry !== undefined && !isDue(now)) {
      if (now.fence !== undefined) leased.release(names);
      return take(now.entry, now.leftMs) ?? source.issue(request);
    }
    if (now.fence !== undefined) {
      return fetchFor(names, now.fence, request).catch(orElse(isNew, entry, due.leftMs));
    }
    const isWanted = (other: Entry) => other.fence > entry.fence;
    const later = await awaitOther(names, request, { ...RENEWAL, isWanted });
    const best = later?.entry ?? entry;
    const leftMs = later?.entry === undefined ? due.leftMs : later.leftMs;
    const again = Math.min(LOOK_AGAIN_MS, leftMs / 5) * (0.5 + random());
    return take(best, leftMs, isWanted(best) ? undefined : again) ?? source.issue(request);
  }

  /** A failed renewal is the store's to retry; but one that the store does not have yet is better than none. */
  const orElse = (isNew: boolean, entry: Entry, leftMs: number) => (error: unknown) => {
    const taken = isNew ? take(entry, leftMs, LOOK_AGAIN_MS * (0.5 + random())) : undefined;
    if (taken === undefined) throw error;
    return taken;
  };

  /** An upstream refused what we have: a newer one of another process, or a new one within the fleet's budget. */
  async function replaced(names: EntryNames, request: IssueRequest, refused: string): Promise<IssuedToken> {
    const isWanted = (entry: Entry) => entry.value.reveal() !== refused;
    const usable = (found: Look | undefined) =>
      found?.entry !== undefined && isWanted(found.entry) ? take(found.entry, found.leftMs) : undefined;
    let now = await seek(names, BACKGROUND_MS);
    // It is there, and it is the refused one: only the lease, or whoever has it, brings another.
    if (now !== undefined && now.fence === undefined && usable(now) === undefined) {
      now = await look(names, 'always', BACKGROUND_MS);
      if (now !== undefined && now.fence === undefined && usable(now) === undefined) {
        now = await awaitOther(names, request, { ...RENEWAL, isWanted });
      }
    }
    const taken = usable(now);
    if (taken !== undefined) {
      if (now?.fence !== undefined) leased.release(names);
      return taken;
    }
    if (now?.fence !== undefined) return fetchFor(names, now.fence, request);
    // Redis went away, or the holder may be dead: the limits of this process let it through.
    return source.issue(request);
  }

  async function obtain(request: IssueRequest): Promise<IssuedToken> {
    const names = entryNames(tenant, await identityOf(config, deps.secretHash), source, request.subject);
    if (!source.perSubject) own = names.entry;
    if (request.refused !== undefined) return replaced(names, request, request.refused.reveal());
    const isCold = isAwaited(request);
    hasLooked = true;
    const now = (await seek(names, isCold ? COLD_MS : BACKGROUND_MS)) ?? (await secondLook(names, request));
    if (now === undefined) return holding.putOff(request) ?? source.issue(request);
    holding.found();
    if (now.entry === undefined) return first(names, request, now, isCold);
    if (isDue(now) && !isCold) return renewed(names, request, now);
    // Somebody waits: what is due will do, and the background renews next.
    return take(now.entry, now.leftMs) ?? source.issue(request);
  }

  /** Not the first one of this process, which may be one of a whole fleet that starts, nor while one is left. */
  function isAwaited({ neededBy, leftMs }: IssueRequest): boolean {
    return neededBy !== undefined && leftMs === undefined && (hasLooked || source.perSubject);
  }

  return {
    ...source,
    async issue(request) {
      const issued = await obtain(request);
      holding.gave(issued);
      return issued;
    },
    arrived(listener) {
      return invalidations.listen((entry, fence) => {
        if (entry !== own || fence <= holding.fence) return;
        clock.setTimer(() => fence > holding.fence && listener(), random() * ARRIVAL_SPREAD_MS);
      });
    },
    async close() {
      await leased.settled();
      await source.close?.();
    },
  };
}
