// A JWT-SVID as the Workload API handed it out (JWT-SVID.md). It is read and not verified: the API is trusted, but what
// whoever receives it would refuse never leaves.
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { Secret } from '../../lib/secret.ts';
import { invalidResponse } from '../../provider-http/errors.ts';
import type { FetchedJwtSvid, JwtBundles } from '../../workload-api/client.ts';

export interface JwtSvid {
  readonly spiffeId: string;
  readonly value: Secret;
  /** undefined = the SVID names none. */
  readonly kid: string | undefined;
  /** Epoch ms. */
  readonly expiresAt: number;
  /** Epoch ms; undefined = not told. */
  readonly issuedAt: number | undefined;
}

// Section 2.1: no other, least of all "none" and HS256.
const ALGORITHMS = new Set(['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512']);

/** `spiffeId` '' = the first one, which the API means as the default. Throws CredentialError source_invalid_response. */
export function chooseJwtSvid(
  svids: readonly FetchedJwtSvid[],
  audience: readonly string[],
  spiffeId: string,
  now: number,
): JwtSvid {
  const found = spiffeId === '' ? svids[0] : svids.find((svid) => svid.spiffeId === spiffeId);
  if (found === undefined) {
    throw invalidResponse(
      spiffeId === ''
        ? 'the Workload API gave no JWT-SVID'
        : `the Workload API gave no JWT-SVID of ${spiffeId}`,
    );
  }
  return parseJwtSvid(found, audience, now);
}

function parseJwtSvid({ spiffeId, svid }: FetchedJwtSvid, audience: readonly string[], now: number): JwtSvid {
  const { header, claims } = decoded(svid);
  const refuse = (what: string): never => {
    throw invalidResponse(`the JWT-SVID is refused: ${what}`);
  };
  if (!ALGORITHMS.has(header.alg ?? '')) refuse('its algorithm is none that JWT-SVIDs may have');
  if (header.typ !== undefined && !['JWT', 'JOSE'].includes(header.typ))
    refuse('its typ is neither JWT nor JOSE');
  if (!/^spiffe:\/\/[a-z0-9._-]+(\/|$)/.test(spiffeId) || claims.sub !== spiffeId) {
    refuse('its sub is not the SPIFFE ID that came with it');
  }
  const told = typeof claims.aud === 'string' ? [claims.aud] : (claims.aud ?? []);
  if (!audience.every((one) => told.includes(one))) refuse('an audience that was asked for is missing');
  if (typeof claims.exp !== 'number' || !Number.isFinite(claims.exp)) return refuse('it has no exp');
  const expiresAt = claims.exp * 1_000;
  if (expiresAt <= now) refuse('it has ended');
  return {
    spiffeId,
    value: new Secret(svid),
    kid: header.kid,
    expiresAt,
    issuedAt: typeof claims.iat === 'number' ? claims.iat * 1_000 : undefined,
  };
}

function decoded(svid: string) {
  try {
    return { header: decodeProtectedHeader(svid), claims: decodeJwt(svid) };
  } catch {
    throw invalidResponse('the JWT-SVID is no JWT');
  }
}

/**
 * Milliseconds until its half life, when the API gives a new one (SPIRE does so from there on); where that is past, half of
 * what is left.
 */
export function renewalDelayMs({ expiresAt, issuedAt }: JwtSvid, now: number): number {
  const half = issuedAt === undefined ? now : issuedAt + (expiresAt - issuedAt) / 2;
  return half > now ? half - now : (expiresAt - now) / 2;
}

/** Whether the key that signed it is still trusted; true where that cannot be told. */
export function isTrusted({ spiffeId, kid }: JwtSvid, bundles: JwtBundles): boolean {
  const trustDomain = /^spiffe:\/\/[^/]+/.exec(spiffeId)![0];
  const bundle = bundles.get(trustDomain);
  if (bundle === undefined || kid === undefined) return true;
  try {
    const { keys } = JSON.parse(Buffer.from(bundle).toString('utf8')) as {
      keys: readonly { kid?: string }[];
    };
    return keys.some((key) => key.kid === kid);
  } catch {
    return true;
  }
}
