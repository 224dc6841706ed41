// Answers to "would this token be let in?", one or many: for POST /v1/verify. The same verification and the same rules as
// of a request, without what only a request has (certificate, proof, network, limits).
import type { Inbound } from './inbound.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface TokenVerdict {
  readonly valid: boolean;
  /** Why not. */
  readonly reason?: string;
  readonly issuer?: string;
  readonly subject?: string;
  readonly client?: string;
  readonly scope?: string;
  readonly expires_at?: string;
  /** The sender has to prove something beside. */
  readonly bound?: 'mtls' | 'dpop';
}

const MAX_TOKENS = 1_000;

/** The answer's body, or what is wrong with the question. */
export async function verifyTokens(
  inbound: Inbound,
  issuers: readonly string[],
  question: unknown,
): Promise<{ readonly results: readonly TokenVerdict[] } | { readonly error: string }> {
  const { tokens, policy: name } = (question ?? {}) as { tokens?: unknown; policy?: unknown };
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === 'string')) {
    return { error: 'expected { "tokens": [TOKEN, ...], "policy": NAME }' };
  }
  if (tokens.length > MAX_TOKENS) return { error: `at most ${MAX_TOKENS} tokens at once` };
  const policy = inbound.policies.find((candidate) => candidate.name === name);
  if (name !== undefined && policy === undefined) return { error: 'no inbound policy of this name' };
  const allowed = policy?.issuers ?? issuers.map((_, i) => i);

  const verdictOf = async (token: string): Promise<TokenVerdict> => {
    const key = VerifiedTokens.keyOf(token);
    const found =
      inbound.verifiers.peek(key, allowed) ?? (await inbound.verifiers.verify(token, key, allowed));
    if (typeof found === 'string') return { valid: false, reason: found };
    const denial = inbound.refusal(policy, found);
    if (denial !== undefined) return { valid: false, reason: denial.reason };
    const { claims, expiresAt, boundCertificate, boundKey, scopes } = found;
    return {
      valid: true,
      issuer: issuers[found.issuer]!,
      ...(typeof claims['sub'] === 'string' ? { subject: claims['sub'] } : {}),
      ...(found.caller === '' ? {} : { client: found.caller }),
      ...(scopes.size === 0 ? {} : { scope: [...scopes].join(' ') }),
      ...(Number.isFinite(expiresAt) ? { expires_at: new Date(expiresAt).toISOString() } : {}),
      ...(boundCertificate ? { bound: 'mtls' as const } : boundKey ? { bound: 'dpop' as const } : {}),
    };
  };
  return { results: await Promise.all(tokens.map(verdictOf)) };
}
