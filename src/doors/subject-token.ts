// For whom a request is made: the subject token, and the actor token where the policy's source wants one, as they stand in
// the request's own headers.
import type { Subject } from '../credential/credential.ts';
import { createSubject, subjectKey } from '../credential/subject.ts';
import { isBearerToken } from '../credential/token-syntax.ts';
import type { SubjectHeaders } from '../policy/policy.ts';

/** As it came: not yet known to be a token. */
export interface SubjectText {
  readonly key: string;
  readonly token: string;
  readonly actor: string | undefined;
}

interface Headers {
  header(name: string): string | undefined;
}

/** Hot: nothing but the key is made. undefined = a header is missing. */
export function subjectTextOf(request: Headers, names: SubjectHeaders): SubjectText | undefined {
  const token = bare(request.header(names.token));
  if (token === undefined) return undefined;
  const actor = names.actor === undefined ? undefined : bare(request.header(names.actor));
  if (names.actor !== undefined && actor === undefined) return undefined;
  return { key: subjectKey(token, actor), token, actor };
}

/** undefined = no token: two in one header, another scheme, or too long. */
export function parseSubject({ token, actor }: SubjectText): Subject | undefined {
  if (!isBearerToken(token) || (actor !== undefined && !isBearerToken(actor))) return undefined;
  return createSubject(token, actor);
}

/** Without the scheme of RFC 6750, which is compared without case (RFC 9110 section 11.1). */
function bare(value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined;
  const hasScheme = value.charCodeAt(6) === 32 && value.slice(0, 6).toLowerCase() === 'bearer';
  return hasScheme ? value.slice(7).trimStart() : value;
}
