// A token whose signature (or introspection) was right: its claims in the form that rules read. It says nothing about
// now: every rule runs again for every request.
import type { ClaimPath } from '../config/inbound/config.ts';
import type { CallerCount } from '../telemetry/event-details.ts';
import type { VerificationKey } from './key-set.ts';

export type Claims = Readonly<Record<string, unknown>>;

export interface VerifiedToken {
  readonly kind: 'token' | 'api_key';
  /** Position of its issuer in the configuration; -1 for an API key. */
  readonly issuer: number;
  readonly claims: Claims;
  /** Epoch milliseconds; Infinity where the issuer states none (introspection only). */
  readonly expiresAt: number;
  readonly notBefore: number;
  readonly issuedAt: number;
  readonly leewayMs: number;
  /** Until when the verdict itself counts, epoch milliseconds; Infinity for a signature. */
  readonly freshUntil: number;
  readonly audience: readonly string[];
  readonly scopes: ReadonlySet<string>;
  readonly roles: readonly string[];
  /** Verified client or key; the subject where there is none. Whose bucket a request counts in. */
  readonly caller: string;
  /** RFC 8705 and RFC 9449: what the sender has to prove. */
  readonly boundCertificate: string | undefined;
  readonly boundKey: string | undefined;
  /** undefined for what no public key verified. */
  readonly key: VerificationKey | undefined;
  /** The last revocation list that it was not on. */
  revocationVersion: number;
  /** The answer that was last given for it, encoded, and by which policy: same token, same policy, same bytes. */
  answer: Uint8Array | undefined;
  answeredBy: number;
  /** How often its caller was let in lately, and by which policy. */
  uses: CallerCount | undefined;
  usedBy: number;
}

export interface TokenOrigin {
  readonly kind: VerifiedToken['kind'];
  readonly issuer: number;
  readonly rolesClaim: ClaimPath;
  readonly leewayMs: number;
  readonly key: VerificationKey | undefined;
}

/** undefined when a registered claim has a wrong type. `exp` may be missing here; who needs it has to look. */
export function createVerifiedToken(claims: Claims, origin: TokenOrigin): VerifiedToken | undefined {
  const expiresAt = dateOf(claims['exp'], Number.POSITIVE_INFINITY);
  const notBefore = dateOf(claims['nbf'], Number.NEGATIVE_INFINITY);
  const issuedAt = dateOf(claims['iat'], Number.NEGATIVE_INFINITY);
  const audience = textsOf(claims['aud']);
  if (expiresAt === undefined || notBefore === undefined || issuedAt === undefined || audience === undefined)
    return undefined;
  for (const name of ['sub', 'jti', 'sid', 'client_id', 'azp']) {
    if (claims[name] !== undefined && typeof claims[name] !== 'string') return undefined;
  }
  const cnf = claims['cnf'];
  const confirmation = typeof cnf === 'object' && cnf !== null ? (cnf as Record<string, unknown>) : {};
  const bound = [confirmation['x5t#S256'], confirmation['jkt']];
  if (cnf !== undefined && !bound.some((value) => typeof value === 'string')) return undefined;
  return {
    kind: origin.kind,
    issuer: origin.issuer,
    claims,
    expiresAt,
    notBefore,
    issuedAt,
    leewayMs: origin.leewayMs,
    freshUntil: Number.POSITIVE_INFINITY,
    audience,
    scopes: new Set(wordsOf(claims['scope'] ?? claims['scp'])),
    roles: wordsOf(claimAt(claims, origin.rolesClaim)),
    caller: (claims['client_id'] ?? claims['azp'] ?? claims['sub'] ?? '') as string,
    boundCertificate: bound[0] as string | undefined,
    boundKey: bound[1] as string | undefined,
    key: origin.key,
    revocationVersion: -1,
    answer: undefined,
    answeredBy: -1,
    uses: undefined,
    usedBy: -1,
  };
}

/** The value at a path; undefined where a step is missing. Own properties only. */
export function claimAt(claims: Claims, path: ClaimPath): unknown {
  let at: unknown = claims;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string, unknown>)[step];
  }
  return at;
}

/** A list of texts, or one text with spaces. */
function wordsOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return value.split(' ').filter((word) => word !== '');
  return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : [];
}

function textsOf(value: unknown): readonly string[] | undefined {
  if (value === undefined) return [];
  if (typeof value === 'string') return [value];
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
}

/** NumericDate (RFC 7519 section 2) as epoch milliseconds; undefined when it is none. */
function dateOf(value: unknown, missing: number): number | undefined {
  if (value === undefined) return missing;
  return typeof value === 'number' && Number.isFinite(value) ? value * 1_000 : undefined;
}
