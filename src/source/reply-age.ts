// How old a token answer is. A cache between us and the provider (RFC 9111) gives a token that has lived already: it says so
// by Age, or shows itself by the same token under the same Date again.
import { keyOf } from '../credential/subject.ts';
import type { Clock } from '../lib/clock.ts';

export interface ReplyAge {
  /** Milliseconds that its lifetimes must be cut by. `sentAt`: monotonic ms. */
  of(headers: Headers, token: string, sentAt: number): number;
}

export function createReplyAge(clock: Clock): ReplyAge {
  let last: { readonly date: string; readonly token: string; readonly at: number } | undefined;
  return {
    of(headers, token, sentAt) {
      const told = ageMs(headers);
      const date = headers.get('date');
      if (date === null) return told;
      const key = keyOf(token);
      if (last?.date === date && last.token === key) return Math.max(told, sentAt - last.at);
      last = { date, token: key, at: clock.monotonic() - told };
      return told;
    },
  };
}

/** RFC 9111 section 5.1: whole seconds; what is none is none. */
function ageMs(headers: Headers): number {
  const text = headers.get('age') ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) * 1_000 : 0;
}
