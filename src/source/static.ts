// A key that does not end by itself, unless it is a JWT with an exp. A changed file replaces it.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { watchFiles } from '../lib/watch.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { expiryOf } from './jwt-expiry.ts';
import type { SourceDeps } from './registry.ts';

type StaticConfig = Extract<SourceConfig, { type: 'static' }>;

export function createStaticSource(config: StaticConfig, { clock, env }: SourceDeps): TokenSource {
  const secret = createSecretReader(config.value, env);
  return {
    name: config.name,
    type: 'static',
    endpoint: `static:${config.name}`,
    syntax: 'header_value',
    perSubject: false,
    async issue() {
      const value = await secret.read();
      const expiresAt = expiryOf(value.reveal());
      if (expiresAt === undefined) return { value, lifetimeMs: undefined };
      const lifetimeMs = expiresAt - clock.now();
      if (lifetimeMs <= 0) throw invalidResponse('the value is a JWT that has expired');
      return { value, lifetimeMs };
    },
    watch: (changed) => watchFiles([secret.file], clock, changed),
  };
}
