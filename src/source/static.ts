// A key that does not end by itself. A changed file replaces it.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { watchFile } from '../lib/watch.ts';
import type { SourceDeps } from './registry.ts';

type StaticConfig = Extract<SourceConfig, { type: 'static' }>;

export function createStaticSource({ name, value }: StaticConfig, { clock, env }: SourceDeps): TokenSource {
  const secret = createSecretReader(value, env);
  return {
    name,
    type: 'static',
    endpoint: `static:${name}`,
    syntax: 'header_value',
    perSubject: false,
    issue: async () => ({ value: await secret.read(), lifetimeMs: undefined }),
    watch: (changed) => (secret.file === undefined ? () => {} : watchFile(secret.file, clock, changed)),
  };
}
