// A token in a file that somebody else renews, e.g. a projected service account token. Its own `exp` bounds its life.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { Secret } from '../lib/secret.ts';
import { readSecretFile } from '../lib/secret-ref.ts';
import { watchFile } from '../lib/watch.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { pointed } from './json-pointer.ts';
import { expiryOf } from './jwt-expiry.ts';
import type { SourceDeps } from './registry.ts';

type FileConfig = Extract<SourceConfig, { type: 'file' }>;

export function createFileSource(config: FileConfig, { clock }: SourceDeps): TokenSource {
  const { name, path, format, pointer } = config;
  const invalid = (message: string) => invalidResponse(`${path}: ${message}`);

  async function read(): Promise<string> {
    const text = await readSecretFile(path);
    if (format === 'raw') return text.trim();
    let value: unknown;
    try {
      value = pointed(JSON.parse(text), pointer);
    } catch {
      // Not the parser's message: it quotes the file.
      throw invalid('not JSON');
    }
    if (typeof value !== 'string') throw invalid(`no text at ${pointer || 'the root'}`);
    return value;
  }

  return {
    name,
    type: 'file',
    endpoint: `file:${path}`,
    syntax: 'header_value',
    perSubject: false,
    async issue() {
      const token = await read();
      const expiresAt = expiryOf(token);
      if (expiresAt === undefined) return { value: new Secret(token), lifetimeMs: undefined };
      const lifetimeMs = expiresAt - clock.now();
      if (lifetimeMs <= 0) throw invalid('the token in it has expired; whoever renews this file is behind');
      return { value: new Secret(token), lifetimeMs };
    },
    watch: (changed) => watchFile(path, clock, changed),
  };
}
