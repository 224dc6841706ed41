// From a source's configuration to its token source: one line a type.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createExecSource } from './exec.ts';
import { createFileSource } from './file.ts';
import type { SharedRecord } from './refresh-token/shared-store.ts';
import { createStaticSource } from './static.ts';

export interface SourceDeps {
  readonly clock: Clock;
  /** For `env:` references and for HTTPS_PROXY and NO_PROXY. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly observer: Observer;
  /** What the fleet keeps for this source in Redis, by whose it is. undefined = there is no shared cache. */
  readonly sharedRecord?: ((belongsTo: string, config: SourceConfig) => SharedRecord) | undefined;
}

export async function createTokenSource(config: SourceConfig, deps: SourceDeps): Promise<TokenSource> {
  switch (config.type) {
    case 'client_credentials':
      // Its libraries are 24 MB of resident memory (measured) that a configuration of keys and files need not pay.
      return (await import('./client-credentials.ts')).createClientCredentialsSource(config, deps);
    case 'jwt_bearer':
      return (await import('./jwt-bearer.ts')).createJwtBearerSource(config, deps);
    case 'token_exchange':
      return (await import('./token-exchange.ts')).createTokenExchangeSource(config, deps);
    case 'http':
      // Its HTTP client alone is 7 MB (measured).
      return (await import('./http.ts')).createHttpSource(config, deps);
    case 'exec':
      return createExecSource(config, deps);
    case 'refresh_token':
      return (await import('./refresh-token/refresh-token.ts')).createRefreshTokenSource(config, deps);
    case 'api_keys':
      // The YAML parser is for the ring file.
      return (await import('./api-keys.ts')).createApiKeysSource(config, deps);
    case 'signed_jwt':
      return (await import('./signed-jwt/signed-jwt.ts')).createSignedJwtSource(config, deps);
    case 'spiffe_jwt':
      // grpc-js is 17 MB of resident memory (measured).
      return (await import('./spiffe/spiffe-jwt.ts')).createSpiffeJwtSource(config, deps);
    case 'static':
      return createStaticSource(config, deps);
    case 'file':
      return createFileSource(config, deps);
  }
}
