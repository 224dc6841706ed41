// A network that fails on demand: one toxiproxy process, and TCP proxies in it whose faults a test sets and takes back.
import { setTimeout as sleep } from 'node:timers/promises';
import { toxiproxyBinary } from '../../tools/parts/toxiproxy.ts';
import { freePort } from './ports.ts';
import { startProcess } from './process.ts';

/**
 * What can be wrong with a connection (toxiproxy's own names): `latency` and `bandwidth` slow it, `timeout` with 0
 * swallows what comes until the other side closes, `reset_peer` ends it by RST, `limit_data` cuts it after so many bytes,
 * `slicer` sends in small pieces.
 */
export type Toxic =
  | { readonly type: 'latency'; readonly latency: number; readonly jitter?: number }
  | { readonly type: 'bandwidth'; readonly rate: number }
  | { readonly type: 'timeout' | 'reset_peer'; readonly timeout: number }
  | { readonly type: 'limit_data'; readonly bytes: number }
  | { readonly type: 'slicer'; readonly average_size: number; readonly delay: number };

export interface Toxiproxy {
  /** A new way to `port` of this machine, without faults at first. */
  proxy(name: string, port: number): Promise<FaultyWay>;
  stop(): Promise<void>;
}

export interface FaultyWay {
  /** Clients connect to 127.0.0.1 here. */
  readonly port: number;
  /** Closes the port and every connection; `up` opens it again. */
  down(): Promise<void>;
  up(): Promise<void>;
  /** Adds a fault. `downstream` (default) is towards the client. Resolves with the way to take it back. */
  add(toxic: Toxic, stream?: 'downstream' | 'upstream'): Promise<() => Promise<void>>;
  /** Without faults, and up. */
  reset(): Promise<void>;
}

export async function startToxiproxy(): Promise<Toxiproxy> {
  const apiPort = await freePort();
  const toxiproxy = await startProcess(
    await toxiproxyBinary(),
    ['-host', '127.0.0.1', '-port', String(apiPort)],
    { name: 'toxiproxy', env: { ...process.env, LOG_LEVEL: 'warn' } },
  );

  async function call<T>(method: string, path: string, body?: object): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${apiPort}${path}`, {
      method,
      // It refuses what a browser could send.
      headers: { 'user-agent': 'bearerd-test', 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`toxiproxy answered ${answer.status} to ${method} ${path}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as T;
  }

  const deadline = performance.now() + 30_000;
  while (!(await call('GET', '/version').then(Boolean, () => false))) {
    if (performance.now() > deadline) {
      await toxiproxy.stop();
      throw new Error(`toxiproxy was not ready within 30 s:\n${toxiproxy.output().slice(-2000)}`);
    }
    await sleep(10);
  }

  return {
    async proxy(name, port) {
      const { listen } = await call<{ listen: string }>('POST', '/proxies', {
        name,
        listen: `127.0.0.1:${await freePort()}`,
        upstream: `127.0.0.1:${port}`,
        enabled: true,
      });
      const path = `/proxies/${name}`;
      const enable = (enabled: boolean) => call<void>('POST', path, { listen, enabled });
      const toxics = new Set<string>();
      let count = 0;
      const remove = async (toxic: string) => {
        if (toxics.delete(toxic)) await call('DELETE', `${path}/toxics/${toxic}`);
      };
      return {
        port: Number(listen.split(':').at(-1)),
        down: () => enable(false),
        up: () => enable(true),
        async add({ type, ...attributes }, stream = 'downstream') {
          const toxic = `${type}_${++count}`;
          await call('POST', `${path}/toxics`, { name: toxic, type, stream, attributes });
          toxics.add(toxic);
          return () => remove(toxic);
        },
        async reset() {
          for (const toxic of [...toxics]) await remove(toxic);
          await enable(true);
        },
      };
    },
    async stop() {
      await toxiproxy.stop();
    },
  };
}
