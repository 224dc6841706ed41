// Access tokens by a refresh token (RFC 6749 section 6) that a person's login brought (bearerd login). Many providers
// rotate it with each use and take a second use for theft (RFC 9700 section 4.14), so losing one answer may lose the
// login: the new one is stored and synced before its access token is used, and a call is never cut off by us early.
import type { SourceConfig } from '../../config/config.ts';
import type { IssuedToken, TokenSource } from '../../credential/credential.ts';
import { CredentialError } from '../../lib/errors.ts';
import { wasNeverSent } from '../../provider-http/errors.ts';
import { oauthErrorOf } from '../errors.ts';
import { createOAuthClient } from '../oauth/client.ts';
import { buildTokenParameters } from '../oauth/token-parameters.ts';
import { type TokenReply, toIssuedToken } from '../oauth/token-reply.ts';
import type { SourceDeps } from '../registry.ts';
import { createRefreshTokenStore } from './place.ts';
import type { HeldRefreshToken, StoredRefreshToken } from './store.ts';

type RefreshTokenConfig = Extract<SourceConfig, { type: 'refresh_token' }>;

/** Longer than the store waits for a fetch: an answer that comes late is still stored. */
const CALL_MS = 15_000;
const WARN_BEFORE_MS = 7 * 24 * 3_600_000;
const WARN_EVERY_MS = 24 * 3_600_000;

export function createRefreshTokenSource(config: RefreshTokenConfig, deps: SourceDeps): TokenSource {
  const { clock, observer } = deps;
  const { name } = config;
  const client = createOAuthClient(config, deps, { callMs: CALL_MS });
  const store = createRefreshTokenStore(config, deps);
  let flight: Promise<IssuedToken> | undefined;
  /** Obtained, and not yet written since the store failed: nothing else may be done before it is. */
  let unwritten:
    | {
        readonly next: StoredRefreshToken;
        readonly askedAt: number;
        readonly reply: TokenReply;
        readonly at: number;
      }
    | undefined;
  let warnedAt = Number.NEGATIVE_INFINITY;

  async function refresh(held: HeldRefreshToken): Promise<IssuedToken> {
    const stored = await held.read();
    if (unwritten !== undefined) {
      const { next, askedAt } = unwritten;
      if (stored?.loginAt === next.loginAt && stored.askedAt === askedAt) return keep(held, unwritten);
      // A login, or another process that went on: ours is not the newest any more.
      unwritten = undefined;
    }
    if (stored === undefined) throw loginRequired('nobody has logged in yet');
    if (stored.refusedWith !== undefined)
      throw loginRequired(`the provider refused it: ${stored.refusedWith}`);
    warn(stored.expiresAt);
    const inDoubt = stored.askedAt !== undefined;
    if (inDoubt) observer.refreshTokenInDoubt(name);
    // Before the call: whoever finds it knows that the provider may have rotated. It also proves that we can write.
    const askedAt = clock.now();
    await held.write({ ...stored, askedAt });
    let reply: TokenReply;
    try {
      reply = await ask(stored);
    } catch (error) {
      throw await failed(held, stored, inDoubt, error);
    }
    return keep(held, { next: renewed(stored, reply), askedAt, reply, at: clock.monotonic() });
  }

  function ask(stored: StoredRefreshToken): Promise<TokenReply> {
    const parameters = buildTokenParameters(config);
    parameters.set('refresh_token', stored.token.reveal());
    return client.requestToken({ grantType: 'refresh_token', parameters }, AbortSignal.timeout(CALL_MS));
  }

  function renewed(stored: StoredRefreshToken, reply: TokenReply): StoredRefreshToken {
    const isNew = reply.refreshToken !== undefined;
    const lifetimeMs = reply.refreshTokenLifetimeMs ?? (isNew ? config.refreshLifetimeMs : undefined);
    return {
      // RFC 6749 section 6: without a new one the old one stays.
      token: reply.refreshToken ?? stored.token,
      loginAt: stored.loginAt,
      expiresAt: lifetimeMs === undefined ? (isNew ? undefined : stored.expiresAt) : clock.now() + lifetimeMs,
      askedAt: undefined,
      refusedWith: undefined,
    };
  }

  async function keep(held: HeldRefreshToken, obtained: NonNullable<typeof unwritten>): Promise<IssuedToken> {
    unwritten = obtained;
    const { next, reply, at } = obtained;
    await held.write(next);
    unwritten = undefined;
    observer.refreshTokenStored(name, next.expiresAt);
    // Storing took time, perhaps a long one.
    return toIssuedToken({ ...reply, lifetimeMs: reply.lifetimeMs - (clock.monotonic() - at) });
  }

  async function failed(
    held: HeldRefreshToken,
    stored: StoredRefreshToken,
    inDoubt: boolean,
    error: unknown,
  ): Promise<unknown> {
    if (!(error instanceof CredentialError)) return error;
    if (oauthErrorOf(error) === 'invalid_grant') {
      await held.write({ ...stored, askedAt: undefined, refusedWith: 'invalid_grant' });
      return loginRequired(
        inDoubt
          ? 'the provider refused it (invalid_grant) after a call whose answer was lost: it had been rotated'
          : 'the provider refused it (invalid_grant): it has ended or was revoked',
      );
    }
    const isKnownUnused = error.code === 'source_rejected' || wasNeverSent(error);
    if (isKnownUnused) await held.write({ ...stored, askedAt: inDoubt ? stored.askedAt : undefined });
    return error;
  }

  function loginRequired(reason: string): CredentialError {
    observer.loginRequired(name, `${reason}; run bearerd login --config FILE --source ${name}`);
    return new CredentialError('login_required', `${store.place}: ${reason}`, { retryable: false });
  }

  function warn(expiresAt: number | undefined): void {
    if (expiresAt === undefined || expiresAt - clock.now() > WARN_BEFORE_MS) return;
    if (clock.monotonic() - warnedAt < WARN_EVERY_MS) return;
    warnedAt = clock.monotonic();
    observer.refreshTokenEnding(name, expiresAt);
  }

  return {
    name,
    type: 'refresh_token',
    endpoint: client.endpoint,
    syntax: 'b64token',
    perSubject: false,
    exclusive: config.store.kind === 'file',
    issue() {
      // Who gave up waiting finds the call still under way: a second one would use the same token twice.
      flight ??= store.exclusively(refresh).finally(() => {
        flight = undefined;
      });
      return flight;
    },
    watch(changed) {
      const stops = [client.watch(changed), store.watch(changed)];
      return () => {
        for (const stop of stops) stop();
      };
    },
    async close() {
      // The answer to a call under way is still stored.
      await flight?.catch(() => {});
      await Promise.all([client.close(), store.close()]);
    },
  };
}
