// The static server of a fleet on a thread of its own: what it does must not delay the pods, nor they it.
import { once } from 'node:events';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { Authority } from '../../demo/certificates.ts';
import { startBundleServer } from './policy-bundles.ts';

/** Since its start. */
export interface BundleServerFigures {
  readonly requests: number;
  /** Of these, answered 304. */
  readonly unchanged: number;
  /** On the wire, both ways, with TLS. */
  readonly bytes: number;
}

export interface BundleServerThread {
  readonly url: string;
  /** Resolves once it is handed out. */
  serve(content: string): Promise<BundleServerFigures>;
  figures(): Promise<BundleServerFigures>;
  stop(): Promise<void>;
}

type Certificate = Awaited<ReturnType<Authority['issue']>>;

export async function startBundleServerThread(authority: Authority): Promise<BundleServerThread> {
  const certificate: Certificate = await authority.issue('localhost', 'server');
  const worker = new Worker(new URL(import.meta.url), { workerData: certificate });
  const [url] = (await once(worker, 'message')) as [string];
  async function ask(content?: string): Promise<BundleServerFigures> {
    const answered = once(worker, 'message');
    worker.postMessage(content);
    return (await answered)[0] as BundleServerFigures;
  }
  return { url, serve: ask, figures: () => ask(), stop: async () => void (await worker.terminate()) };
}

if (parentPort !== null && workerData !== null) {
  const port = parentPort;
  const server = await startBundleServer({ issue: async () => workerData as Certificate });
  port.on('message', (content: string | undefined) => {
    if (content !== undefined) server.content = content;
    port.postMessage({ ...server.counts, bytes: server.bytes() });
  });
  port.postMessage(server.url);
}
