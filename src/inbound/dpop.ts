// DPoP proofs of callers (RFC 9449 section 4.3): the sender holds the key that the token is bound to.
import { calculateJwkThumbprint, compactVerify } from 'jose';
import { parseCompactJwt } from './compact-jwt.ts';
import { parseKey } from './key-set.ts';
import type { ReplayMemory } from './replay.ts';

export const DPOP_ALGORITHMS = ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'];

/** How old a proof may be, and how far ahead the clock of its maker. */
const MAX_AGE_MS = 60_000;
const LEEWAY_MS = 5_000;
const MAX_JTI_LENGTH = 256;

export interface ProvenRequest {
  readonly proof: string;
  readonly method: string;
  /** Scheme and authority as callers see them, lower case, and the path without its query. */
  readonly htu: string;
  /** base64url SHA-256 of the access token. */
  readonly ath: string;
  /** JWK thumbprint that the token is bound to. */
  readonly boundKey: string;
  /** Whose token it is. */
  readonly account: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Whether the proof is right, and seen for the first time. */
export async function isProven(request: ProvenRequest, replay: ReplayMemory): Promise<boolean> {
  const jwt = parseCompactJwt(request.proof);
  if (jwt === undefined || jwt.typ !== 'dpop+jwt' || !DPOP_ALGORITHMS.includes(jwt.alg)) return false;
  const { jti, htm, htu, iat, ath } = jwt.claims;
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI_LENGTH) return false;
  if (htm !== request.method || typeof htu !== 'string' || normalisedUri(htu) !== request.htu) return false;
  if (typeof iat !== 'number' || ath !== request.ath) return false;
  const ageMs = request.now - iat * 1_000;
  if (ageMs > MAX_AGE_MS || ageMs < -LEEWAY_MS) return false;
  const key = parseKey(jwt.header['jwk']);
  if (key === undefined) return false;
  const thumbprint = await calculateJwkThumbprint(jwt.header['jwk'] as never).catch(() => undefined);
  if (thumbprint !== request.boundKey) return false;
  const isSigned = await compactVerify(request.proof, key.key, { algorithms: [jwt.alg] }).then(
    () => true,
    () => false,
  );
  // After the signature: nobody else can use up a jti.
  if (!isSigned) return false;
  const what = `dpop ${thumbprint} ${jti}`;
  const mark = { sender: request.account, what, madeAt: iat * 1_000, forMs: MAX_AGE_MS + LEEWAY_MS };
  return await replay.first(mark);
}

/** Without query and fragment, scheme and authority in lower case, default port dropped; undefined = no address. */
function normalisedUri(text: string): string | undefined {
  const match = /^(https?):\/\/([^/?#]+)([^?#]*)/i.exec(text);
  if (match === null) return undefined;
  const [, scheme, authority, path] = match as unknown as [string, string, string, string];
  return originOf(scheme, authority) + (path === '' ? '/' : path);
}

export function originOf(scheme: string, authority: string): string {
  const lower = scheme.toLowerCase();
  return `${lower}://${authority.toLowerCase().replace(lower === 'https' ? /:443$/ : /:80$/, '')}`;
}
