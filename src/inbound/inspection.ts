// What a token says of itself, in words, and what would be refused whatever the issuer. Offline: nothing is verified.
import { MAX_TOKEN_BYTES, parseCompactJwt } from './compact-jwt.ts';

export interface Inspection {
  /** undefined when it is no compact JWT that could count. */
  readonly header: Readonly<Record<string, unknown>> | undefined;
  readonly claims: Readonly<Record<string, unknown>> | undefined;
  readonly times: readonly string[];
  /** Reasons to refuse it, whoever verifies. */
  readonly refused: readonly string[];
  /** What is not refused but seldom meant. */
  readonly notes: readonly string[];
}

const DAY_MS = 86_400_000;

/** `now`: epoch milliseconds. */
export function inspectToken(token: string, now: number): Inspection {
  const jwt = parseCompactJwt(token);
  if (jwt === undefined)
    return { header: undefined, claims: undefined, times: [], refused: whyNot(token), notes: [] };
  const { alg, header, claims } = jwt;
  const refused: string[] = [];
  const notes: string[] = [];
  if (/^none$/i.test(alg)) refused.push('alg is none: it is not signed');
  if (/^HS/.test(alg)) notes.push(`alg ${alg} counts only for an issuer with shared_secret`);
  for (const name of ['jku', 'x5u', 'jwk', 'x5c']) {
    if (name in header) notes.push(`${name} in the header is never followed`);
  }
  if (typeof claims['iss'] !== 'string') refused.push('iss is missing: no issuer can be found');
  if (claims['aud'] === undefined) refused.push('aud is missing: it is for nobody');
  if (typeof claims['exp'] !== 'number') refused.push('exp is missing or no number: it would never end');
  const at = (name: string) =>
    typeof claims[name] === 'number' ? (claims[name] as number) * 1_000 : undefined;
  const [exp, nbf, iat, authTime] = ['exp', 'nbf', 'iat', 'auth_time'].map(at);
  if (exp !== undefined && exp <= now) refused.push('it has expired');
  if (nbf !== undefined && nbf > now) refused.push('nbf: it is not valid yet');
  if (iat !== undefined && iat > now) refused.push('iat lies ahead');
  if (exp !== undefined && iat !== undefined && exp - iat > DAY_MS) notes.push('it lives longer than a day');
  const cnf = claims['cnf'];
  if (typeof cnf === 'object' && cnf !== null) {
    notes.push(`it is bound to its sender (${Object.keys(cnf).join(', ')}): a stolen one is of no use`);
  }
  const times = Object.entries({ iat, nbf, auth_time: authTime, exp })
    .filter((entry): entry is [string, number] => entry[1] !== undefined)
    .map(([name, ms]) => `${name} ${isDate(ms) ? `${iso(ms)}, ${relative(ms - now)}` : 'beyond all dates'}`);
  return { header, claims, times, refused, notes };
}

function whyNot(token: string): string[] {
  if (token.length > MAX_TOKEN_BYTES) return [`it is longer than ${MAX_TOKEN_BYTES} bytes`];
  const { length } = token.split('.');
  if (length === 5) return ['five parts: an encrypted token (JWE), which is not accepted'];
  if (length !== 3)
    return [
      `${length === 1 ? 'one part' : `${length} parts`} instead of three: no JWT, an opaque token perhaps`,
    ];
  return ['three parts, but not base64url of JSON objects with each name once, or crit in the header'];
}

function isDate(ms: number): boolean {
  return Math.abs(ms) <= 8.64e15;
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/** `in 4 minutes`, `2 hours ago`. */
function relative(ms: number): string {
  const units = [
    ['day', DAY_MS],
    ['hour', 3_600_000],
    ['minute', 60_000],
    ['second', 1_000],
  ] as const;
  const [unit, size] = units.find(([, unitMs]) => Math.abs(ms) >= unitMs) ?? units[3];
  return new Intl.RelativeTimeFormat('en').format(Math.trunc(ms / size), unit);
}
