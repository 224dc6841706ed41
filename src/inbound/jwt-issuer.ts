// Verifies tokens of one issuer. The slow path of a token: its verdict is kept in verified-tokens.ts.
import { compactVerify } from 'jose';
import type { JwtIssuerConfig } from '../config/inbound/config.ts';
import type { Secret } from '../lib/secret.ts';
import { type CompactJwt, parseCompactJwt } from './compact-jwt.ts';
import type { IssuerKeys } from './issuer-keys.ts';
import type { VerificationKey } from './key-set.ts';
import type { RefusalReason } from './refusal.ts';
import { type TokenTime, timeRefusal } from './token-time.ts';
import { createVerifiedToken, type VerifiedToken } from './verified-token.ts';

export type Verdict = VerifiedToken | RefusalReason;

export interface TokenVerifier {
  /** Rejects never for what a caller sent. */
  verify(token: string, jwt: CompactJwt | undefined): Promise<Verdict>;
  /** Named while tokens cannot be verified yet. */
  readonly missing: string | undefined;
  start(): void;
  stop(): void;
}

export interface JwtIssuerDeps {
  readonly index: number;
  readonly time: TokenTime;
  /** undefined with a shared secret. */
  readonly keys: IssuerKeys | undefined;
  readonly secret: (() => Promise<Secret>) | undefined;
}

/** RFC 7518 section 3.2: a secret at least as long as the hash. */
const MIN_SECRET_BYTES = 32;

export function createJwtIssuer(config: JwtIssuerConfig, deps: JwtIssuerDeps): TokenVerifier {
  const { index, time, keys, secret } = deps;
  const algorithms = new Set(config.algorithms);
  const types = new Set(config.types);
  const origin = {
    kind: 'token',
    issuer: index,
    rolesClaim: config.roles,
    leewayMs: config.leewayMs,
  } as const;

  async function verify(text: string, jwt = parseCompactJwt(text)): Promise<Verdict> {
    if (jwt === undefined) return 'token_malformed';
    if (!algorithms.has(jwt.alg)) return 'token_algorithm';
    if (!types.has(jwt.typ)) return 'token_type';
    if (jwt.claims['iss'] !== config.issuer) return 'token_issuer';
    const unverified = createVerifiedToken(jwt.claims, { ...origin, key: undefined });
    // A token without an end would be valid for ever.
    if (unverified === undefined || unverified.expiresAt === Number.POSITIVE_INFINITY)
      return 'token_malformed';
    // Before the signature: an old token must not cost a verification.
    const early = timeRefusal(unverified, time.now());
    if (early !== undefined) return early;
    if (keys === undefined) return (await hasMac(text, jwt)) ? unverified : 'token_signature';

    let candidates = keys.candidates(jwt.kid, jwt.alg);
    if (candidates.length === 0) {
      await keys.askAgain(jwt.kid);
      candidates = keys.candidates(jwt.kid, jwt.alg);
      if (candidates.length === 0) return keys.known ? 'token_key' : 'keys_unavailable';
    }
    for (const key of candidates) {
      if (await isSignedBy(text, jwt, key)) {
        return createVerifiedToken(jwt.claims, { ...origin, key }) ?? 'token_malformed';
      }
    }
    return 'token_signature';
  }

  async function hasMac(text: string, jwt: CompactJwt): Promise<boolean> {
    const value = Buffer.from((await secret!()).reveal());
    if (value.length < MIN_SECRET_BYTES) return false;
    return compactVerify(text, value, { algorithms: [jwt.alg] }).then(
      () => true,
      () => false,
    );
  }

  return {
    verify,
    get missing() {
      return keys === undefined || keys.known ? undefined : `keys of ${config.name}`;
    },
    start: () => keys?.start(),
    stop: () => keys?.stop(),
  };
}

function isSignedBy(text: string, jwt: CompactJwt, { key }: VerificationKey): Promise<boolean> {
  return compactVerify(text, key, { algorithms: [jwt.alg] }).then(
    () => true,
    () => false,
  );
}
