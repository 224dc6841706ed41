// A person's login for a refresh_token source: one of the two flows, then what it brought is offered to the store.
import type { SourceConfig } from '../../config/config.ts';
import { CredentialError } from '../../lib/errors.ts';
import { createOAuthClient, type OAuthClient } from '../oauth/client.ts';
import type { TokenReply } from '../oauth/token-reply.ts';
import { createRefreshTokenStore } from '../refresh-token/place.ts';
import type { SourceDeps } from '../registry.ts';
import { authorizationCodeFlow } from './authorization-code.ts';
import { deviceFlow } from './device.ts';

export type LoginConfig = Extract<SourceConfig, { type: 'refresh_token' }>;

export interface LoginOptions {
  readonly flow: 'code' | 'device';
  /** Of the loopback redirect; 0 = any free one. */
  readonly redirectPort: number;
  /** Tells the person what to do. */
  readonly say: (text: string) => void;
  /** Resolves after so many milliseconds, rejects when `signal` aborts. Keeps the process alive, unlike the clock's timers. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** Ends it all. */
  readonly signal: AbortSignal;
}

export interface Login extends LoginOptions {
  readonly config: LoginConfig;
  readonly client: OAuthClient;
}

export interface LoginResult {
  /** Where the refresh token was put. */
  readonly place: string;
  /** Epoch ms; undefined = nobody told. */
  readonly expiresAt: number | undefined;
}

/** Rejects with CredentialError only. */
export async function logIn(
  config: LoginConfig,
  deps: SourceDeps,
  options: LoginOptions,
): Promise<LoginResult> {
  const store = createRefreshTokenStore(config, deps);
  const client = createOAuthClient(config, deps);
  try {
    // Not after the person has gone through the login.
    await store.checkOffer();
    const login: Login = { ...options, config, client };
    const reply = await (options.flow === 'code' ? authorizationCodeFlow(login) : deviceFlow(login));
    return { place: store.place, expiresAt: await offer(reply) };
  } finally {
    await Promise.all([client.close(), store.close()]);
  }

  async function offer({ refreshToken, refreshTokenLifetimeMs }: TokenReply): Promise<number | undefined> {
    if (refreshToken === undefined) {
      throw new CredentialError(
        'source_invalid_response',
        'the provider gave no refresh token: it may want scope offline_access, authorization_params (prompt: consent, access_type: offline), or the grant allowed for this client',
        { retryable: false },
      );
    }
    const now = deps.clock.now();
    const lifetimeMs = refreshTokenLifetimeMs ?? config.refreshLifetimeMs;
    const expiresAt = lifetimeMs === undefined ? undefined : now + lifetimeMs;
    await store.offer({
      token: refreshToken,
      loginAt: now,
      expiresAt,
      askedAt: undefined,
      refusedWith: undefined,
    });
    return expiresAt;
  }
}
