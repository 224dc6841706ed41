// Which sources' tokens may be shared: those that depend on nothing but what the configuration states, and on the subject.
import type { SourceConfig } from '../config/config.ts';

const SHAREABLE: ReadonlySet<SourceConfig['type']> = new Set([
  'client_credentials',
  'http',
  'jwt_bearer',
  'refresh_token',
  'token_exchange',
]);

const WHY_NOT: Readonly<Partial<Record<SourceConfig['type'], string>>> = {
  exec: 'what a program prints may depend on where it runs',
  spiffe_jwt: 'a JWT-SVID is one workload’s',
};

/** Why its tokens never enter Redis; undefined = they may. `perSubject`: each user has one of their own. */
export function whyNotShared(
  config: SourceConfig,
  perSubject: boolean,
  perUserSources: readonly string[],
): string | undefined {
  if (!SHAREABLE.has(config.type)) return WHY_NOT[config.type] ?? 'nobody is asked for it';
  // RFC 9449: bound to a key of this process from the start.
  if ('dpop' in config && config.dpop) return 'dpop binds it to a key of this process';
  if (config.type === 'refresh_token' && config.store.kind === 'file') {
    return 'its refresh token lies in a file of one process; store: { shared: true } is for several';
  }
  if (perSubject && !perUserSources.includes(config.name)) {
    return 'tokens of single users, and the source is not in shared_cache.per_user_sources';
  }
  return undefined;
}
