// Which credential the Envoys carry by their own word: what a refusal is held against. Pure.
import type { Clock } from '../../lib/clock.ts';
import { shareSecretName } from '../../policy/rollout.ts';
import { isServed, type MadeOf } from './served-secrets.ts';

export interface Acknowledgements {
  /**
   * Since when (wall clock, epoch ms) every subscribed stream has acknowledged the current credential of this source, and
   * whether this pod is in the share of `policy`. undefined = nobody subscribed, one has not acknowledged it, or there is none.
   */
  carriedSince(
    source: string,
    policy?: string,
  ): { readonly generation: number; readonly sinceEpochMs: number } | undefined;
}

/** One name on one stream. */
export interface Acknowledger {
  /** What its listener may serve; undefined = all. */
  readonly sources: ReadonlySet<string> | undefined;
  /** The sequence of the last secret that the peer said it uses. */
  acknowledged: number;
  /** Monotonic ms. */
  acknowledgedAt: number;
}

/** One name, and who follows it. */
export interface Acknowledged {
  readonly name: string;
  /** undefined = no policy names it (any more). */
  made: MadeOf | undefined;
  readonly current: { readonly sequence: number; readonly generation: number | undefined };
  readonly followers: ReadonlySet<Acknowledger>;
}

export function carriedSince(
  entries: Iterable<Acknowledged>,
  clock: Clock,
  source: string,
  policy = '',
): ReturnType<Acknowledgements['carriedSince']> {
  let generation: number | undefined;
  let since = 0;
  for (const { name, made, current, followers: all } of entries) {
    if (made?.source !== source) continue;
    const isShare = 'share' in made;
    if (isShare && name !== shareSecretName(policy)) continue;
    const followers = [...all].filter(({ sources }) => isServed(made, sources));
    if (followers.length === 0) continue;
    if (!isShare) {
      generation ??= current.generation;
      if (generation === undefined || generation !== current.generation) return undefined;
    }
    for (const { acknowledged, acknowledgedAt } of followers) {
      if (acknowledged !== current.sequence) return undefined;
      since = Math.max(since, acknowledgedAt);
    }
  }
  // By the wall clock of now, as the attempts that are held against it: it may have been set since.
  const sinceEpochMs = clock.now() - (clock.monotonic() - since);
  return generation === undefined ? undefined : { generation, sinceEpochMs };
}
