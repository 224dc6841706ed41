// Reads WWW-Authenticate: RFC 9110, 11.6.1 (challenges in a list, quoted strings, token68), and what a Bearer
// challenge says of the token: RFC 6750, 3.1. Pure. The value comes from an upstream: anything may be in it.
import type { HealOn } from '../../config/config.ts';

export interface Challenge {
  /** Lower case. */
  readonly scheme: string;
  /** By lower-case name; of a repeated one the first. */
  readonly params: ReadonlyMap<string, string>;
}

const MAX_LENGTH = 8_192;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/sy;
// Only where the list goes on or ends behind it: `realm="x"` begins like one.
const TOKEN68 = /[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const SEPARATOR = /[ \t,]*/y;

/** The challenges up to the first thing that is none; a missing comma between parameters is forgiven. */
export function parseChallenges(value: string): readonly Challenge[] {
  const text = value.slice(0, MAX_LENGTH);
  const challenges: { scheme: string; params: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match) at = pattern.lastIndex;
    return match ?? undefined;
  };
  for (;;) {
    take(SEPARATOR);
    const word = take(TOKEN)?.[0];
    if (word === undefined) return challenges;
    const current = challenges.at(-1);
    if (current && take(EQUALS)) {
      const quoted = take(QUOTED);
      const content = quoted ? quoted[1]!.replace(/\\(.)/gs, '$1') : take(TOKEN)?.[0];
      if (content === undefined) return challenges;
      const name = word.toLowerCase();
      if (!current.params.has(name)) current.params.set(name, content);
    } else {
      challenges.push({ scheme: word.toLowerCase(), params: new Map() });
      take(TOKEN68);
    }
  }
}

// A new token would have the same scope, a broken request stays broken, and a proof is not the token (RFC 9449).
const NEVER_THE_TOKEN = new Set([
  'insufficient_scope',
  'invalid_request',
  'invalid_dpop_proof',
  'use_dpop_nonce',
]);

/** Whether a refusal with this WWW-Authenticate (undefined = none) may be mended by a new token. */
export function isTokenFault(healOn: Exclude<HealOn, 'off'>, wwwAuthenticate: string | undefined): boolean {
  const errors = parseChallenges(wwwAuthenticate ?? '')
    .filter(({ scheme }) => scheme === 'bearer' || scheme === 'dpop')
    .map((challenge) => challenge.params.get('error'));
  if (errors.some((error) => error !== undefined && NEVER_THE_TOKEN.has(error))) return false;
  return healOn === '401' || errors.includes('invalid_token');
}

/** RFC 9449, section 9: the proof has to be made again, with the nonce that came along. */
export function demandsNonce(wwwAuthenticate: string | undefined): boolean {
  return parseChallenges(wwwAuthenticate ?? '').some(
    ({ scheme, params }) => scheme === 'dpop' && params.get('error') === 'use_dpop_nonce',
  );
}
