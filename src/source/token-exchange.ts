// OAuth 2.0 token exchange (RFC 8693): a credential for each subject whose token came with a request, or one for a token in
// a file. A credential never outlives the subject token.
import type { SourceConfig } from '../config/config.ts';
import type { IssuedToken, Subject, TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import { CredentialError } from '../lib/errors.ts';
import { readSecretFile } from '../lib/secret-ref.ts';
import { watchFiles } from '../lib/watch.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { oauthErrorOf } from './errors.ts';
import { expiryOf } from './jwt-expiry.ts';
import { createOAuthClient } from './oauth/client.ts';
import { buildTokenParameters } from './oauth/token-parameters.ts';
import { toIssuedToken } from './oauth/token-reply.ts';
import type { SourceDeps } from './registry.ts';

type Config = Extract<SourceConfig, { type: 'token_exchange' }>;
type Place = Config['subjectToken'];

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

// RFC 8693 section 2.2.2: invalid_request for a subject or actor token that is not valid; the others are what providers
// answer in its place. What is wrong with the client or its request stays source_rejected.
const OF_SUBJECT = new Set(['invalid_request', 'invalid_grant', 'invalid_token', 'access_denied']);

export function createTokenExchangeSource(config: Config, deps: SourceDeps): TokenSource {
  const { clock } = deps;
  const client = createOAuthClient(config, deps);
  const perSubject = config.subject !== undefined;
  const files = [config.subjectToken, config.actorToken].map((place) =>
    place?.from === 'file' ? place.path : undefined,
  );

  async function exchange(subject: Subject | undefined, signal: AbortSignal): Promise<IssuedToken> {
    const subjectToken = await tokenAt(config.subjectToken, subject?.token.reveal());
    const subjectLifetimeMs = lifetimeLeft(subjectToken, clock);
    const parameters = buildTokenParameters(config);
    parameters.set('subject_token', subjectToken);
    parameters.set('subject_token_type', config.subjectTokenType);
    if (config.actorToken !== undefined) {
      parameters.set('actor_token', await tokenAt(config.actorToken, subject?.actor?.reveal()));
      parameters.set('actor_token_type', config.actorTokenType);
    }
    if (config.requestedTokenType !== undefined) {
      parameters.set('requested_token_type', config.requestedTokenType);
    }
    const tokenTypes = ['bearer', 'n_a'] as const;
    const reply = await client.requestToken({ grantType: GRANT_TYPE, parameters, tokenTypes }, signal);
    const wanted = config.requestedTokenType;
    // A provider that cannot issue what was asked for may answer with another type, which nobody here expects.
    if (wanted !== undefined && wanted !== (reply.issuedTokenType ?? ACCESS_TOKEN)) {
      throw invalidResponse('the issued_token_type is not the requested_token_type');
    }
    const issued = toIssuedToken(reply);
    return { ...issued, lifetimeMs: Math.min(issued.lifetimeMs ?? subjectLifetimeMs, subjectLifetimeMs) };
  }

  return {
    name: config.name,
    type: 'token_exchange',
    endpoint: client.endpoint,
    syntax: 'b64token',
    perSubject,
    async issue({ subject, signal }) {
      try {
        return await exchange(subject, signal);
      } catch (error) {
        const code = perSubject ? oauthErrorOf(error) : undefined;
        if (code === undefined || !OF_SUBJECT.has(code)) throw error;
        throw new CredentialError('subject_rejected', (error as CredentialError).message, {
          retryable: false,
          cause: error,
        });
      }
    },
    watch(changed) {
      const unwatchClient = client.watch(changed);
      const unwatchFiles = watchFiles(files, clock, changed);
      return () => {
        unwatchClient();
        unwatchFiles();
      };
    },
    close: client.close,
  };
}

/** `ofRequest` is there where the place is a header. */
async function tokenAt(place: Place, ofRequest: string | undefined): Promise<string> {
  return place.from === 'file' ? (await readSecretFile(place.path)).trim() : ofRequest!;
}

/** Milliseconds; Infinity for a token that does not tell. */
function lifetimeLeft(subjectToken: string, clock: Clock): number {
  const expiresAt = expiryOf(subjectToken);
  if (expiresAt === undefined) return Number.POSITIVE_INFINITY;
  const left = expiresAt - clock.now();
  if (left > 0) return left;
  throw new CredentialError('subject_rejected', 'the subject token has expired', { retryable: false });
}
