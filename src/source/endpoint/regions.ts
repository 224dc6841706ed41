// One source at several endpoints of its provider: the first that is there gives the credential. Each has a breaker of
// its own, so that one that is away costs nothing once that is known.
import type { IssuedToken, TokenSource } from '../../credential/credential.ts';
import { isAway } from '../../provider-http/errors.ts';

/** `regions` in order of preference, at least one, each already guarded by its own endpoint. */
export function createRegionalSource(regions: readonly TokenSource[]): TokenSource {
  const [first, ...others] = regions as readonly [TokenSource, ...TokenSource[]];
  if (others.length === 0) return first;
  return {
    ...first,
    async issue(request): Promise<IssuedToken> {
      let firstFailure: unknown;
      for (const region of regions) {
        try {
          return await region.issue(request);
        } catch (error) {
          firstFailure ??= error;
          // A provider that understood and said no says so in every region.
          if (!isAway(error) || request.signal.aborted) throw error;
        }
      }
      throw firstFailure;
    },
    async close() {
      await Promise.all(regions.map((region) => region.close?.()));
    },
  };
}
