// Notices a changed file. By stat once a second and not by inotify: Kubernetes swaps the symbolic link `..data` two
// levels above, network volumes send no events, and inotify instances are few on a crowded node.
import { stat } from 'node:fs/promises';
import type { Clock, Timer } from './clock.ts';

const EVERY_MS = 1_000;

/**
 * Calls `changed` within about a second. A file that is away for a moment is no change. Returns the
 * way to stop.
 */
export function watchFile(path: string, clock: Clock, changed: () => void): () => void {
  const state = async () => {
    const s = await stat(path, { bigint: true }).catch(() => undefined);
    return s && `${s.dev}:${s.ino}:${s.size}:${s.mtimeNs}:${s.ctimeNs}`;
  };
  return watchState(state, clock, changed, EVERY_MS);
}

/** As watchFile(), of whatever `state` tells; undefined = it is away. */
export function watchState(
  state: () => Promise<string | undefined>,
  clock: Clock,
  changed: () => void,
  everyMs: number,
): () => void {
  let timer: Timer | undefined;
  let stopped = false;
  let last: string | undefined;
  let looked = false;

  async function look(): Promise<void> {
    const now = await state();
    if (stopped) return;
    if (now !== undefined) {
      // Also when it was away at the first look: the first fetch failed for it.
      if (looked && now !== last) changed();
      last = now;
    }
    looked = true;
    timer = clock.setTimer(() => void look(), everyMs);
  }
  void look();
  return () => {
    stopped = true;
    timer?.cancel();
  };
}

/** watchFile() of each that is a file; what is none (undefined) never changes. */
export function watchFiles(
  paths: readonly (string | undefined)[],
  clock: Clock,
  changed: () => void,
): () => void {
  const stops = paths.flatMap((path) => (path === undefined ? [] : [watchFile(path, clock, changed)]));
  return () => {
    for (const stop of stops) stop();
  };
}
