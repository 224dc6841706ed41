// All issuers behind one question: whose token is this, and is it right? Concurrent first sights of one token cost one
// verification.
import { type CompactJwt, parseCompactJwt } from './compact-jwt.ts';
import type { TokenVerifier, Verdict } from './jwt-issuer.ts';
import type { TokenTime } from './token-time.ts';
import type { VerifiedToken } from './verified-token.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface Issuer {
  readonly verifier: TokenVerifier;
  /** The `iss` of its tokens; undefined = by introspection, of tokens that are of no other issuer. */
  readonly iss: string | undefined;
}

export interface Verifiers {
  /** A verdict that was found before; `issuers` are positions in the configuration. */
  peek(key: string, issuers: readonly number[]): VerifiedToken | undefined;
  verify(token: string, key: string, issuers: readonly number[]): Promise<Verdict>;
  forget(key: string, token: VerifiedToken): void;
  readonly cached: VerifiedTokens;
}

export function createVerifiers(issuers: readonly Issuer[], maxBytes: number, time: TokenTime): Verifiers {
  const cached = new VerifiedTokens(maxBytes);
  const inFlight = new Map<string, Promise<Verdict>>();

  async function verify(token: string, key: string, allowed: readonly number[]): Promise<Verdict> {
    const jwt = parseCompactJwt(token);
    const iss = jwt?.claims['iss'];
    const own = allowed.find((index) => issuers[index]!.iss !== undefined && issuers[index]!.iss === iss);
    if (own !== undefined) return once(token, key, own, jwt);
    let verdict: Verdict = jwt === undefined ? 'token_malformed' : 'token_issuer';
    for (const index of allowed) {
      if (issuers[index]!.iss !== undefined) continue;
      verdict = await once(token, key, index, jwt);
      if (typeof verdict === 'object') return verdict;
    }
    return verdict;
  }

  function once(token: string, key: string, index: number, jwt: CompactJwt | undefined): Promise<Verdict> {
    const name = `${key}${index}`;
    const running = inFlight.get(name);
    if (running !== undefined) return running;
    const verdict = issuers[index]!.verifier.verify(token, jwt)
      .then((found) => {
        if (typeof found === 'object') cached.set(key, found, token.length);
        return found;
      })
      .finally(() => inFlight.delete(name));
    inFlight.set(name, verdict);
    return verdict;
  }

  return {
    cached,
    peek(key, allowed) {
      for (const index of allowed) {
        const token = cached.get(key, index);
        if (token === undefined) continue;
        // Its issuer publishes the key no more, or its word was good for a while only.
        const isFresh = token.freshUntil === Number.POSITIVE_INFINITY || time.now() < token.freshUntil;
        if (token.key?.live !== false && isFresh) return token;
        cached.delete(key, index);
      }
      return undefined;
    },
    verify,
    forget: (key, token) => cached.delete(key, token.issuer),
  };
}
