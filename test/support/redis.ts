// Real Redis servers for tests: Valkey from the parts, and Debian's redis-server where it is installed.
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { valkeyBinary } from '../../tools/parts/valkey.ts';
import { freePort } from './ports.ts';
import { type StartedProcess, startProcess } from './process.ts';

export type RedisKind = 'valkey' | 'redis';

const DEBIAN_REDIS = '/usr/bin/redis-server';

/** Whether Debian's redis-server is on this machine. */
export function hasRedis(): boolean {
  try {
    accessSync(DEBIAN_REDIS, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface StartedRedis {
  readonly port: number;
  readonly process: StartedProcess;
  /** One command, as the default user. */
  call(...words: string[]): Promise<unknown>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Again on the same port, with what was on disk: nothing. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisOptions {
  readonly kind?: RedisKind;
  readonly port?: number;
  /** Lines of its configuration. */
  readonly settings?: readonly string[];
  /** As a sentinel. */
  readonly sentinel?: boolean;
}

export async function startRedis({
  kind = 'valkey',
  port,
  settings = [],
  sentinel = false,
}: RedisOptions = {}): Promise<StartedRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-redis-'));
  const file = join(folder, 'redis.conf');
  const listenPort = port ?? (await freePort());
  const lines = [
    `port ${listenPort}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    ...(sentinel ? [] : ['save ""']),
    ...settings,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  const binary = kind === 'valkey' ? await valkeyBinary() : DEBIAN_REDIS;
  let process_ = await start();

  async function start(): Promise<StartedProcess> {
    const started = await startProcess(binary, [file, ...(sentinel ? ['--sentinel'] : [])], { name: kind });
    await started.waitForOutput(
      sentinel ? /Sentinel ID is|Sentinel new configuration saved/ : /Ready to accept connections/,
    );
    return started;
  }

  return {
    port: listenPort,
    get process() {
      return process_;
    },
    async call(...words) {
      const client = createClient({
        socket: { host: '127.0.0.1', port: listenPort, reconnectStrategy: false },
      });
      client.on('error', () => {});
      await client.connect();
      try {
        return await client.sendCommand(words);
      } finally {
        client.destroy();
      }
    },
    async kill() {
      process_.child.kill('SIGKILL');
      await process_.exited;
    },
    async restart() {
      process_ = await start();
    },
    async stop() {
      await process_.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    },
  };
}
