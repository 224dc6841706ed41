// Opaque tokens, asked for at their issuer (RFC 7662). What it says counts for a bounded time, yes and no alike, so that
// neither a busy caller nor a flood of made-up tokens becomes a flood of questions.
import type { IntrospectionConfig } from '../config/inbound/config.ts';
import type { Clock } from '../lib/clock.ts';
import type { Secret } from '../lib/secret.ts';
import type { ProviderHttp } from '../provider-http/http.ts';
import type { Observer } from '../telemetry/observer.ts';
import { MAX_TOKEN_BYTES } from './compact-jwt.ts';
import type { TokenVerifier, Verdict } from './jwt-issuer.ts';
import type { TokenTime } from './token-time.ts';
import { createVerifiedToken } from './verified-token.ts';
import { VerifiedTokens } from './verified-tokens.ts';

const CALL_MS = 3_000;
/** How long "not active" counts: a token that was just issued may not be known everywhere yet. */
const INACTIVE_MS = 5_000;
const MAX_INACTIVE = 10_000;
/** Questions at once; more wait for a turn in vain, since their callers give up first. */
const MAX_CONCURRENT = 100;

export interface IntrospectionDeps {
  readonly index: number;
  readonly http: ProviderHttp;
  readonly secret: () => Promise<Secret>;
  readonly time: TokenTime;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createIntrospection(config: IntrospectionConfig, deps: IntrospectionDeps): TokenVerifier {
  const { index, http, secret, time, clock, observer } = deps;
  const origin = {
    kind: 'token',
    issuer: index,
    rolesClaim: config.roles,
    leewayMs: config.leewayMs,
    key: undefined,
  } as const;
  const inactive = new Map<string, number>();
  let asking = 0;

  async function verify(token: string): Promise<Verdict> {
    if (token.length > MAX_TOKEN_BYTES) return 'token_malformed';
    const key = VerifiedTokens.keyOf(token);
    const until = inactive.get(key);
    if (until !== undefined && clock.monotonic() < until) return 'token_inactive';
    if (asking >= MAX_CONCURRENT) return 'keys_unavailable';
    asking++;
    try {
      const claims = await ask(token);
      if (claims === undefined) return remember(key);
      const found = createVerifiedToken(claims, origin);
      if (found === undefined) return 'token_malformed';
      return { ...found, freshUntil: time.now() + config.cacheMs };
    } catch (error) {
      observer.inputRefused(`introspection by ${config.name}`, (error as Error).message);
      return 'keys_unavailable';
    } finally {
      asking--;
    }
  }

  function remember(key: string): Verdict {
    if (inactive.size >= MAX_INACTIVE) inactive.clear();
    inactive.set(key, clock.monotonic() + INACTIVE_MS);
    return 'token_inactive';
  }

  /** The claims of an active token; undefined = not active. */
  async function ask(token: string): Promise<Readonly<Record<string, unknown>> | undefined> {
    const form = new URLSearchParams({ token, token_type_hint: 'access_token' });
    const headers: Record<string, string> = {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
    };
    const clientSecret = (await secret()).reveal();
    if (config.clientAuth === 'client_secret_basic') {
      headers['authorization'] = basicCredentials(config.clientId, clientSecret);
    } else {
      form.set('client_id', config.clientId);
      form.set('client_secret', clientSecret);
    }
    const controller = new AbortController();
    const timer = clock.setTimer(() => controller.abort(), CALL_MS);
    try {
      const answer = await http.fetch(config.endpoint, {
        method: 'POST',
        headers,
        body: form.toString(),
        signal: controller.signal,
      });
      if (answer.status !== 200) throw new Error(`the issuer answered ${answer.status}`);
      const claims = (await answer.json().catch(() => undefined)) as Record<string, unknown> | undefined;
      if (typeof claims !== 'object' || claims === null || typeof claims['active'] !== 'boolean') {
        throw new Error('the answer is no introspection response');
      }
      return claims['active'] ? claims : undefined;
    } finally {
      timer.cancel();
    }
  }

  return { verify, missing: undefined, start() {}, stop: () => void http.close() };
}

/** RFC 6749 section 2.3.1: both parts form-encoded before they are joined. */
function basicCredentials(id: string, secret: string): string {
  const encoded = (text: string) => new URLSearchParams({ x: text }).toString().slice(2);
  return `Basic ${Buffer.from(`${encoded(id)}:${encoded(secret)}`).toString('base64')}`;
}
