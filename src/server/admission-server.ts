// HTTPS for the API server of Kubernetes: POST /inject with an AdmissionReview, GET /livez. What is answered, others decide.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TcpAddress } from '../lib/address.ts';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { type CertificatePaths, readCertificateFiles } from './certificate-files.ts';
import { acceptedSockets, listenOn } from './listen.ts';

/** The API server's own limit of a request. */
const MAX_BODY_BYTES = 3 << 20;
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
  /** Lets requests in flight end, for `graceMs` (default 5000) at most. */
  stop(graceMs?: number): Promise<void>;
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
    requestTimeout: 10_000,
    headersTimeout: 5_000,
    maxHeaderSize: 16 << 10,
  });
  server.maxConnections = 256;
  const accepted = acceptedSockets(server);
  const stopFollowing = pair.follow((context) => server.setSecureContext(context));
  server.on('request', (request, response) => {
    serve(request, response, answer).catch((error: unknown) => {
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
    stop(graceMs = GRACE_MS) {
      stopFollowing();
      return new Promise((resolve) => {
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
  answer: (body: string) => AdmissionAnswer,
): Promise<void> {
  const path = (request.url ?? '').split('?', 1)[0];
  if (path === '/livez') return write(response, { status: 200, body: 'ok\n' });
  if (path !== '/inject')
    return write(response, { status: 404, body: 'not found; there is /inject, /livez\n' });
  if (request.method !== 'POST') return write(response, { status: 405, body: 'only POST\n' });
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      write(response, { status: 413, body: `the body is larger than ${MAX_BODY_BYTES} bytes\n` });
      request.destroy();
      return;
    }
    chunks.push(chunk);
  }
  write(response, answer(Buffer.concat(chunks).toString('utf8')));
}

function write(response: ServerResponse, { status, body }: AdmissionAnswer): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': status === 200 ? 'application/json' : 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  });
  response.end(body);
}
