// Members of a fleet in one process: each with a connection and a memory of its own, around one provider that counts.
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import type { RedisConfig, SourceConfig } from '../../src/config/config.ts';
import type { IssuedToken, IssueRequest, TokenSource } from '../../src/credential/credential.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createSharedCache, type SharedCache } from '../../src/shared-cache/shared-cache.ts';
import { issueRequest } from './issue.ts';
import { createRecordingObserver, type RecordingObserver } from './recording-observer.ts';
import { sourceConfig } from './token-source.ts';

export const newKey = (): string => randomBytes(32).toString('base64');

/** Answers with a new token each time, counts, and can be told to do something else. */
export interface CountingProvider {
  calls: number;
  /** Default: `token-N`, 60 s, after 20 ms. */
  answer: (n: number, request: IssueRequest) => Promise<IssuedToken>;
}

export function countingProvider(): CountingProvider {
  return {
    calls: 0,
    async answer(n) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { value: new Secret(`token-${n}`), lifetimeMs: 60_000 };
    },
  };
}

export interface MemberOptions {
  readonly port: number;
  readonly key: string;
  readonly provider: CountingProvider;
  readonly keys?: readonly string[];
  readonly tenant?: string;
  readonly redis?: Partial<RedisConfig>;
  readonly perUserSources?: readonly string[];
  readonly perSubject?: boolean;
  readonly forcedRefreshesPerHour?: number;
  /** Words below client_credentials. */
  readonly patch?: object;
  /** In place of client_credentials. */
  readonly config?: SourceConfig;
}

export interface Member extends RecordingObserver {
  readonly source: TokenSource;
  readonly cache: SharedCache;
  /** The value of the token that one call brings. */
  issue(request?: Partial<IssueRequest>): Promise<string>;
  /** Resolves when all that it obtained was written, or could not be. */
  settled(): Promise<void>;
  /** Before its Redis ends: at the end of the test is too late for a client that would look for other nodes. */
  close(): Promise<void>;
}

export function clientCredentials(patch: object = {}): SourceConfig {
  return sourceConfig({
    client_credentials: {
      token_endpoint: 'http://127.0.0.1:1/token',
      client_id: 'checkout',
      client_secret: { inline: 'secret' },
      ...patch,
    },
  });
}

export function createMember(t: TestContext, options: MemberOptions): Member {
  const { port, key, provider, keys = [key], tenant = 'checkout', perSubject = false } = options;
  const recording = createRecordingObserver();
  const cache = createSharedCache(
    {
      redis: {
        ...{ kind: 'single', nodes: [{ host: '127.0.0.1', port }], masterName: undefined, tls: undefined },
        ...{ username: undefined, password: undefined },
        ...options.redis,
      } as RedisConfig,
      tenant,
      keys: keys.map((text) => ({ from: 'inline', value: new Secret(text) })),
      perUserSources: options.perUserSources ?? [],
    },
    {
      ...{ clock: systemClock, env: {}, observer: recording.observer, random: Math.random },
      forcedRefreshesPerHour: options.forcedRefreshesPerHour,
    },
  );
  const inner: TokenSource = {
    ...{ name: 'orders', type: 'client_credentials', endpoint: 'idp', syntax: 'b64token', perSubject },
    issue: (request) => provider.answer(++provider.calls, request),
  };
  const source = cache.around(inner, options.config ?? clientCredentials(options.patch));
  const close = async () => {
    await source.close?.();
    cache.close();
  };
  t.after(close);
  return {
    ...recording,
    source,
    cache,
    close,
    settled: async () => source.close?.(),
    issue: async (request = {}) => (await source.issue(issueRequest(request))).value.reveal(),
  };
}
