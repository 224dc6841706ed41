// The strict reading of what a token endpoint answered (RFC 6749 section 5). A refusal names the fault and quotes nothing.
import * as oauth from 'oauth4webapi';
import type { Clock } from '../../lib/clock.ts';
import { Secret } from '../../lib/secret.ts';
import { invalidResponse } from '../../provider-http/errors.ts';
import { lifetimeOf } from '../token-lifetime.ts';

export interface TokenReply {
  readonly accessToken: Secret;
  /** Milliseconds, counted from when the request was sent. */
  readonly lifetimeMs: number;
  readonly refreshToken: Secret | undefined;
  /** RFC 8693 section 2.2.1. */
  readonly issuedTokenType: string | undefined;
}

/** Types of token that a grant takes, in lower case. `n_a` is RFC 8693's for what is no access token. */
export type TokenType = 'bearer' | 'n_a';

export interface TokenReplyExpectation {
  readonly server: oauth.AuthorizationServer;
  readonly client: oauth.Client;
  readonly tokenTypes: readonly TokenType[];
  /** Monotonic, ms. */
  readonly sentAt: number;
  readonly clock: Clock;
}

/** Rejects with CredentialError source_invalid_response, or with oauth4webapi's error for what the provider refused. */
export async function processTokenReply(
  reply: Response,
  { server, client, tokenTypes, sentAt, clock }: TokenReplyExpectation,
): Promise<TokenReply> {
  const raw: unknown = await reply
    .clone()
    .json()
    .catch(() => undefined);
  const token = await oauth.processGenericTokenEndpointResponse(server, client, reply, {
    recognizedTokenTypes: { n_a: () => {} },
  });
  if (!tokenTypes.some((type) => type === token.token_type)) {
    throw invalidResponse(`the token_type is not ${tokenTypes.join(' or ')}`);
  }
  const told = lifetimeOf(
    {
      accessToken: token.access_token,
      expiresIn: (raw as { expires_in?: unknown } | undefined)?.expires_in,
      providerNow: dateOf(reply.headers.get('date')),
    },
    clock.now(),
  );
  return {
    accessToken: new Secret(token.access_token),
    // The provider counts from when it answered at the latest, we from when we asked.
    lifetimeMs: told - (clock.monotonic() - sentAt),
    refreshToken: token.refresh_token === undefined ? undefined : new Secret(token.refresh_token),
    issuedTokenType: typeof token['issued_token_type'] === 'string' ? token['issued_token_type'] : undefined,
  };
}

function dateOf(header: string | null): number | undefined {
  const at = header === null ? Number.NaN : Date.parse(header);
  return Number.isNaN(at) ? undefined : at;
}
