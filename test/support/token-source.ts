// A token source as a configuration file states it: through the real schema, in development mode.
import type { SourceConfig } from '../../src/config/config.ts';
import { parseConfig } from '../../src/config/parse.ts';
import type { IssuedToken } from '../../src/credential/credential.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createTokenSource } from '../../src/source/registry.ts';
import { nullObserver, type Observer } from '../../src/telemetry/observer.ts';
import { issued } from './issue.ts';

export interface SourceOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly clock?: Clock;
  readonly observer?: Observer;
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

export function sourceOf(
  words: object,
  { env = {}, clock = systemClock, observer = nullObserver }: SourceOptions = {},
) {
  return createTokenSource(sourceConfig(words), { clock, env, observer });
}

/** One token of a source that is made for it and closed after it. */
export async function issuedBy(words: object, options: SourceOptions = {}): Promise<IssuedToken> {
  return issued(await sourceOf(words, options));
}
