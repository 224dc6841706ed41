// A token source as a configuration file states it: through the real schema, in development mode.
import type { SourceConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import type { IssuedToken, IssueRequest, TokenSource } from '../../src/credential/credential.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createTokenSource } from '../../src/source/registry.ts';

export interface SourceOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
}

/** `words` stand below `sources.orders`. Throws ConfigError. */
export function sourceConfig(words: object): SourceConfig {
  const file = {
    version: 1,
    mode: 'development',
    listen: { xds: 'unix:///run/bearerd/xds.sock' },
    sources: { orders: words },
  };
  return parseConfig(JSON.stringify(file), '/etc/bearerd/bearerd.yaml').sources[0]!;
}

export function sourceOf(words: object, { env = {}, clock = systemClock }: SourceOptions = {}) {
  return createTokenSource(sourceConfig(words), { clock, env });
}

/** A call in the background without a subject, which ends after `ms`. */
export function within(ms: number, patch: Partial<IssueRequest> = {}): IssueRequest {
  return {
    signal: AbortSignal.timeout(ms),
    neededBy: undefined,
    refused: undefined,
    subject: undefined,
    ...patch,
  };
}

/** One token of a source that is made for it and closed after it. */
export async function issuedBy(words: object, options: SourceOptions = {}): Promise<IssuedToken> {
  const source: TokenSource = await sourceOf(words, options);
  try {
    return await source.issue(within(5_000));
  } finally {
    await source.close?.();
  }
}
