// HTTPS for the API server of Kubernetes: POST /inject with an AdmissionReview, GET /livez. What is answered, others decide.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TcpAddress } from '../lib/address.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type CertificatePaths, readCertificateFiles } from './certificate-files.ts';
import { acceptedSockets, listenOn } from './listen.ts';

/** A pod has some 10 kB. Anybody in the cluster may ask, and JSON that is made for it takes a hundred times its size in memory. */
const MAX_BODY_BYTES = 1 << 20;
/** Of all bodies that are being read. */
const MAX_READING_BYTES = 32 << 20;
/** For handshake and request: the API server waits as long (timeoutSeconds of the manifest). */
const CALL_MS = 5_000;
/** Until every API server was told that this one ends, some still come. */
const LATE_MS = 5_000;
const GRACE_MS = 5_000;
const NAME = 'webhook';

export interface AdmissionServerOptions {
  readonly address: TcpAddress;
  readonly files: CertificatePaths;
  readonly observer: Observer;
  readonly clock: Clock;
}

export interface AdmissionServer {
  /** Resolves with the bound address. */
  start(): Promise<string>;
  /** Goes on for `lateMs` (default 5000), then lets requests in flight end, for `graceMs` (default 5000) at most. */
  stop(times?: { readonly lateMs?: number; readonly graceMs?: number }): Promise<void>;
}

export interface AdmissionAnswer {
  readonly status: number;
  readonly body: string;
}

/** Rejects with an Error that names the file of the certificate to look at. `answer` gets whole bodies of POST /inject. */
export async function createAdmissionServer(
  { address, files, observer, clock }: AdmissionServerOptions,
  answer: (body: string) => AdmissionAnswer,
): Promise<AdmissionServer> {
  const pair = await readCertificateFiles(files, { name: NAME, observer, clock });
  const server: Server = createServer({
    ...pair.context,
    minVersion: 'TLSv1.2',
    handshakeTimeout: CALL_MS,
    requestTimeout: CALL_MS,
    headersTimeout: CALL_MS,
    // By itself it looks every 30 s.
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16 << 10,
  });
  server.maxConnections = 256;
  const accepted = acceptedSockets(server);
  const stopFollowing = pair.follow((context) => server.setSecureContext(context));
  const reading = { bytes: 0 };
  server.on('request', (request, response) => {
    serve(request, response, reading, answer).catch((error: unknown) => {
      observer.unexpected(NAME, error);
      write(response, { status: 500, body: 'internal error\n' });
    });
  });
  server.on('tlsClientError', () => observer.peerFault(NAME, 'tls_handshake'));
  let boundTo = '';
  return {
    async start() {
      boundTo = await listenOn(server, address);
      observer.listenerChanged(NAME, 'listening', boundTo);
      return boundTo;
    },
    async stop({ lateMs = LATE_MS, graceMs = GRACE_MS } = {}) {
      observer.listenerChanged(NAME, 'draining', boundTo);
      await new Promise<void>((resolve) => clock.setTimer(resolve, lateMs));
      stopFollowing();
      await new Promise<void>((resolve) => {
        // Whoever is silent in the middle of a request or a handshake would hold it for as long as it likes.
        const cut = clock.setTimer(() => accepted.destroy(), graceMs);
        server.close(() => {
          cut.cancel();
          observer.listenerChanged(NAME, 'closed', boundTo);
          resolve();
        });
        server.closeIdleConnections();
      });
    },
  };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  reading: { bytes: number },
  answer: (body: string) => AdmissionAnswer,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/livez') return write(response, { status: 200, body: 'ok\n' });
  if (path !== '/inject')
    return write(response, { status: 404, body: 'not found; there is /inject, /livez\n' });
  if (request.method !== 'POST') return write(response, { status: 405, body: 'only POST\n' });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length;
      reading.bytes += chunk.length;
      if (size > MAX_BODY_BYTES)
        return write(response, { status: 413, body: `the body is larger than ${MAX_BODY_BYTES} bytes\n` });
      if (reading.bytes > MAX_READING_BYTES)
        return write(response, { status: 503, body: 'too many large bodies at one time\n' });
      chunks.push(chunk);
    }
  } catch {
    // Whoever asked is gone.
    return;
  } finally {
    reading.bytes -= size;
  }
  write(response, answer(Buffer.concat(chunks).toString('utf8')));
}

/** A connection for each call: on one that ends for want of use a call is lost, and with it a sidecar. */
function write(response: ServerResponse, { status, body }: AdmissionAnswer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    connection: 'close',
    'content-type': status === 200 ? 'application/json' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
