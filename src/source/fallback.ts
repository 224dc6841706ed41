// Another source for when the first is away. Never after a refusal: what a provider denied, no other one may give.
import type { IssuedToken, IssueRequest, TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import { isAway } from '../provider-http/errors.ts';
import type { Observer } from '../telemetry/observer.ts';

/** Of the store's 5 s for a whole fetch, so that the second source has as much as the first. */
const FIRST_MS = 2_500;

export interface FallbackDeps {
  readonly clock: Clock;
  readonly observer: Observer;
}

/** `second` has an owner of its own, who watches and closes it. */
export function createFallbackSource(
  first: TokenSource,
  second: TokenSource,
  { clock, observer }: FallbackDeps,
): TokenSource {
  return {
    ...first,
    syntax: first.syntax === second.syntax ? first.syntax : 'header_value',
    async issue(request) {
      try {
        return await within(first, request, clock);
      } catch (error) {
        if (!isAway(error) || request.signal.aborted) throw error;
        const issued = await second.issue(request);
        observer.fallbackUsed(first.name, second.name, error.code);
        return { ...issued, source: issued.source ?? second.name };
      }
    },
  };
}

/** Half of what there is: of the caller's wait, or of the whole fetch. */
async function within(source: TokenSource, request: IssueRequest, clock: Clock): Promise<IssuedToken> {
  const now = clock.monotonic();
  const waitMs = request.neededBy === undefined ? FIRST_MS : Math.max(0, request.neededBy - now) / 2;
  const limitMs = Math.min(FIRST_MS, waitMs);
  const own = new AbortController();
  const timer = clock.setTimer(() => own.abort(), limitMs);
  const neededBy = request.neededBy === undefined ? undefined : now + limitMs;
  try {
    return await Promise.race([
      source.issue({ ...request, neededBy, signal: AbortSignal.any([request.signal, own.signal]) }),
      rejectionOf(own.signal),
    ]);
  } finally {
    timer.cancel();
  }
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const late = () =>
      reject(new CredentialError('source_timeout', 'no answer in its half of the time', { retryable: true }));
    signal.addEventListener('abort', late, { once: true });
  });
}
