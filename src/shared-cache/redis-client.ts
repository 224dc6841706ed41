// The one place that knows the Redis client (node-redis, without its modules: no dependencies, 18 MB resident, measured;
// ioredis 22 MB and by its own word only kept on best effort). Single, cluster and sentinel look the same from here.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createClient, createCluster, createSentinel } from '@redis/client';
import type { RedisConfig } from '../config/config.ts';
import { fullJitterMs } from '../lib/backoff.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { UnreadableAuthority } from './fault-reason.ts';

const CONNECT_MS = 2_000;
/** A connection that says nothing for so long although it is pinged is dead. */
const PING_EVERY_MS = 10_000;
const SILENT_MS = 25_000;
/** Short, since what is missed meanwhile is to be heard within a second; full jitter spreads a fleet. */
const RECONNECT = { baseMs: 100, maxMs: 500 };

export interface RedisClient {
  /** Rejects while there is no connection, and with the server's error reply. Knows no time limit. */
  eval(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown>;
  /** Ends every connection at once. */
  destroy(): void;
}

export interface RedisClientDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly random: () => number;
  /** Called for each message of the channel, and whenever it was subscribed to anew. */
  readonly woken: () => void;
  readonly channel: string;
  /** A connection is in trouble, the first one or a later one, and why. */
  readonly troubled: (error: unknown) => void;
}

/** Resolves when it is connected and subscribed. Rejects when it cannot be; later losses are mended by itself. */
export async function connectRedis(config: RedisConfig, deps: RedisClientDeps): Promise<RedisClient> {
  let isConnected = false;
  let destroyed = false;
  const client = await createOf(config, deps, () => isConnected);
  // Every fault shows in the calls, but not why; without a listener the process would end.
  const troubled = (error: unknown) => {
    if (!destroyed && error instanceof Error) deps.troubled(error);
  };
  client.on('error', troubled);
  client.on('node-error', troubled);
  client.on('client-error', (event) => troubled((event as { readonly error: unknown }).error));
  client.on('ready', () => deps.woken());
  try {
    await client.connect();
    await client.subscribe(deps.channel, () => deps.woken());
    isConnected = true;
  } catch (error) {
    client.destroy();
    throw error;
  }
  return {
    eval: (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] }),
    destroy() {
      destroyed = true;
      try {
        client.destroy();
      } catch {
        // It was closed already.
      }
    },
  };
}

interface AnyClient {
  on(event: 'error' | 'node-error' | 'client-error' | 'ready', listener: (what: unknown) => void): unknown;
  connect(): Promise<unknown>;
  subscribe(channel: string, listener: () => void): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  destroy(): void;
}

async function createOf(
  config: RedisConfig,
  { env, random }: RedisClientDeps,
  isConnected: () => boolean,
): Promise<AnyClient> {
  const { kind, nodes, masterName, tls, username } = config;
  const password = config.password && createSecretReader(config.password, env);
  const ca = tls?.caFile === undefined ? undefined : await readAuthority(tls.caFile);
  const socket = {
    ...(tls === undefined
      ? {}
      : {
          tls: true as const,
          ...(ca === undefined ? {} : { ca }),
          ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
        }),
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENT_MS,
    noDelay: true,
    // The first connection fails at once: whoever waits for it goes on without.
    reconnectStrategy: (retries: number) => isConnected() && 20 + fullJitterMs(retries, RECONNECT, random),
  };
  const common = {
    disableOfflineQueue: true,
    pingInterval: PING_EVERY_MS,
    // What CLIENT SETINFO would tell is nobody's business, and needs one more right of the ACL.
    disableClientInfo: true,
    maintNotifications: 'disabled' as const,
    ...(username === undefined && password === undefined
      ? {}
      : {
          credentialsProvider: {
            type: 'async-credentials-provider' as const,
            // Read for each connection: a changed file counts from the next one.
            credentials: async () => ({
              ...(username === undefined ? {} : { username }),
              ...(password === undefined ? {} : { password: (await password.read()).reveal() }),
            }),
          },
        }),
  };
  const [first] = nodes as [(typeof nodes)[number]];
  switch (kind) {
    case 'single':
      return createClient({ ...common, socket: { ...socket, ...first } as never }) as unknown as AnyClient;
    case 'cluster':
      return createCluster({
        rootNodes: nodes.map((node) => ({ ...common, socket: { ...socket, ...node } as never })),
        defaults: { ...common, socket: socket as never },
      }) as unknown as AnyClient;
    case 'sentinel':
      return createSentinel({
        name: masterName!,
        sentinelRootNodes: nodes.map(({ host, port }) => ({ host, port })),
        nodeClientOptions: { ...common, socket: socket as never },
        sentinelClientOptions: { socket: socket as never },
        scanInterval: 1_000,
      }) as unknown as AnyClient;
  }
}

async function readAuthority(path: string): Promise<string> {
  try {
    const pem = await readFile(path, 'utf8');
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    throw new UnreadableAuthority(error);
  }
}
