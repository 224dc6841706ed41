// A steady rate of requests, every answer kept.
import { setTimeout as sleep } from 'node:timers/promises';

/** Sends `perSecond` for `seconds`, each at its own time whatever became of the others. */
export async function load<Answer>(
  send: () => Promise<Answer>,
  perSecond: number,
  seconds: number,
): Promise<Answer[]> {
  const begun = performance.now();
  const pending: Promise<Answer>[] = [];
  for (let i = 0; i < perSecond * seconds; i++) {
    const wait = begun + (i * 1_000) / perSecond - performance.now();
    if (wait > 1) await sleep(wait);
    pending.push(send());
  }
  return Promise.all(pending);
}

/** How many answers of each status. */
export function statuses(answers: readonly { readonly status: number }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}
