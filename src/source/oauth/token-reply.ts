// The strict reading of what a token endpoint answered (RFC 6749 section 5). A refusal names the fault and quotes nothing.
import * as oauth from 'oauth4webapi';
import type { IssuedToken, ProofKey } from '../../credential/credential.ts';
import { validateToken } from '../../credential/token-syntax.ts';
import type { Clock } from '../../lib/clock.ts';
import { Secret } from '../../lib/secret.ts';
import { JsonFault, parseStrictJson } from '../../lib/strict-json.ts';
import { clockSkewMs } from '../../provider-http/clock-skew.ts';
import { invalidResponse } from '../../provider-http/errors.ts';
import { confirmationOf } from '../jwt-confirmation.ts';
import { datedByToken, type ReplyAge } from '../reply-age.ts';
import { lifetimeOf } from '../token-lifetime.ts';

export interface TokenReply {
  readonly accessToken: Secret;
  /** Milliseconds, counted from when the request was sent. */
  readonly lifetimeMs: number;
  readonly refreshToken: Secret | undefined;
  /** Milliseconds that the refresh token lives, where the provider tells. */
  readonly refreshTokenLifetimeMs: number | undefined;
  /** RFC 8693 section 2.2.1. */
  readonly issuedTokenType: string | undefined;
  /** Bound to a key or certificate of this process. */
  readonly bound: boolean;
  readonly proofKey: ProofKey | undefined;
  /** Granted, where it is told (RFC 6749 section 5.1); undefined = as it was asked for. */
  readonly scope: string | undefined;
}

/** Types of token that a grant takes, in lower case. `n_a` is RFC 8693's for what is no access token. */
export type TokenType = 'bearer' | 'dpop' | 'n_a';

export interface TokenReplyExpectation {
  readonly server: oauth.AuthorizationServer;
  readonly client: oauth.Client;
  readonly tokenTypes: readonly TokenType[];
  /** Monotonic, ms. */
  readonly sentAt: number;
  readonly clock: Clock;
  readonly age: ReplyAge;
  /** How far our wall clock is ahead, milliseconds, by a token that came without a Date. */
  readonly clockSkewSeen: (skewMs: number) => void;
  /** The client showed a certificate, to which the token may be bound (RFC 8705 section 3). */
  readonly certificate: boolean;
  /** The key of the proof that went with the request. */
  readonly proofKey: ProofKey | undefined;
}

/** What a source hands to the store. */
export function toIssuedToken({ accessToken, lifetimeMs, bound, proofKey }: TokenReply): IssuedToken {
  return { value: accessToken, lifetimeMs, bound, ...(proofKey === undefined ? {} : { proofKey }) };
}

/** Rejects with CredentialError source_invalid_response, or with oauth4webapi's error for what the provider refused. */
export async function processTokenReply(
  reply: Response,
  {
    server,
    client,
    tokenTypes,
    sentAt,
    clock,
    age,
    clockSkewSeen,
    certificate,
    proofKey,
  }: TokenReplyExpectation,
): Promise<TokenReply> {
  const text = await reply.text();
  // A bare challenge needs no body.
  const said = reply.headers.has('www-authenticate') && text === '' ? {} : parseReply(text, reply);
  const read = (response: Response) =>
    oauth.processGenericTokenEndpointResponse(server, client, response, {
      recognizedTokenTypes: { n_a: () => {} },
    });
  if (reply.status !== 200 || isRefusal(said)) await read(refusalOf(reply, text, said));
  const accessToken = validToken(said, tokenTypes);
  const headers = datedByToken(reply.headers, accessToken, said['expires_in']);
  const providerNow = dateOf(headers.get('date'));
  const now = clock.now();
  const callMs = clock.monotonic() - sentAt;
  const aged = age.of(headers, accessToken, sentAt);
  const skewMs = clockSkewMs(headers, now - callMs, now);
  // Of a Date in the answer itself it was told already; the same answer again tells none.
  if (headers !== reply.headers && aged === 0 && skewMs !== undefined) clockSkewSeen(skewMs);
  const told = lifetimeOf({ accessToken, expiresIn: said['expires_in'], providerNow }, now);
  const token = await read(new Response(withoutNull(said), reply));
  return {
    accessToken: new Secret(accessToken),
    // The provider counts from when it answered at the latest, we from when we asked.
    lifetimeMs: told - aged - callMs,
    refreshToken: token.refresh_token === undefined ? undefined : new Secret(token.refresh_token),
    refreshTokenLifetimeMs: refreshTokenLifetimeMs(said),
    issuedTokenType: typeof token['issued_token_type'] === 'string' ? token['issued_token_type'] : undefined,
    bound: proofKey !== undefined || (certificate && confirmationOf(accessToken) !== 'none'),
    proofKey,
    scope: token.scope,
  };
}

type Json = Readonly<Record<string, unknown>>;

function parseReply(text: string, { status, headers }: Response): Json {
  const at = status === 200 ? 'the answer' : `the answer (${status})`;
  const media = (headers.get('content-type') ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (media === 'text/html' || /^\s*<(!doctype|html)/i.test(text)) {
    throw invalidResponse(`${at} is an HTML page and no token response: is this the token endpoint?`);
  }
  if (text.trim() === '') throw invalidResponse(`${at} is empty`);
  if (media !== 'application/json') {
    throw invalidResponse(
      `${at} is no token response: its content type is ${media === '' ? 'missing' : 'not application/json'}; is this the token endpoint?`,
    );
  }
  try {
    const value = parseStrictJson(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    throw invalidResponse(`${at} is no token response: ${error.message}`);
  }
  throw invalidResponse(`${at} is no token response: its JSON is no object`);
}

/** Some providers refuse with status 200. */
function isRefusal(said: Json): boolean {
  return said['access_token'] === undefined && typeof said['error'] === 'string';
}

/** Some providers write what they leave out as null, which oauth4webapi refuses without saying where. */
function withoutNull(said: Json): string {
  return JSON.stringify(said, (_, value) => value ?? undefined);
}

/** For oauth4webapi, which throws it: it looks at a challenge before the body, although the body says more. */
function refusalOf({ status, headers }: Response, text: string, said: Json): Response {
  const kept = new Headers(headers);
  if (isRefusal(said)) kept.delete('www-authenticate');
  return new Response(text, { status: status === 200 ? 400 : status, headers: kept });
}

function validToken(
  { access_token: token, token_type: type }: Json,
  tokenTypes: readonly TokenType[],
): string {
  if (token === undefined) throw invalidResponse('the answer has no access_token');
  if (typeof token !== 'string') throw invalidResponse('the access_token is no text');
  if (token === '') throw invalidResponse('the access_token is empty');
  if (type === undefined) throw invalidResponse('the answer has no token_type');
  // Section 5.1: compared without case.
  const known = typeof type === 'string' ? type.toLowerCase() : undefined;
  if (!tokenTypes.some((one) => one === known)) {
    throw invalidResponse(
      tokenTypes.includes('dpop')
        ? 'the token_type is not DPoP, although the request carried a proof'
        : `the token_type is not ${tokenTypes.includes('n_a') ? 'Bearer or N_A' : 'Bearer'}`,
    );
  }
  validateToken(token, 'b64token');
  return token;
}

function dateOf(header: string | null): number | undefined {
  const at = header === null ? Number.NaN : Date.parse(header);
  return Number.isNaN(at) ? undefined : at;
}

/** No RFC has a name for it; these two are in use. 0 = it does not end (Keycloak's offline tokens). */
function refreshTokenLifetimeMs(said: Json): number | undefined {
  const seconds = said['refresh_token_expires_in'] ?? said['refresh_expires_in'];
  return typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds) ? seconds * 1_000 : undefined;
}
