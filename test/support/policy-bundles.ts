// Who signs policies and who serves them: a key of its own, and an HTTPS server with ETags that a test can spoil.
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Authority } from '../../demo/certificates.ts';
import { type Bundle, signBundle } from '../../src/bundle/signed-bundle.ts';
import { endServer } from './loopback.ts';

export const BUNDLE_NAME = 'production';
const HOUR_MS = 3_600_000;

export interface BundleSigner {
  readonly privateKey: KeyObject;
  /** PEM, as in policy_bundle.keys. */
  readonly publicPem: string;
  /** `at` in epoch ms, default the clock's now. */
  sign(serial: number, files: Bundle['files'], patch?: Partial<Bundle>): Promise<string>;
}

export function createBundleSigner(now: () => number = Date.now): BundleSigner {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privateKey,
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
    sign: (serial, files, patch) =>
      signBundle(
        { name: BUNDLE_NAME, serial, issuedAt: now(), expiresAt: now() + HOUR_MS, files, ...patch },
        { key: privateKey, jwk: undefined },
      ),
  };
}

export interface BundleServer {
  readonly url: string;
  /** Served with its ETag. */
  content: string | Buffer;
  /** In place of an answer with `content`. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  /** Requests so far, and those of them that were answered 304. */
  readonly counts: { requests: number; unchanged: number };
  /** On the wire so far, both ways, with TLS. */
  bytes(): number;
  stop(): Promise<void>;
}

export async function startBundleServer(authority: Pick<Authority, 'issue'>): Promise<BundleServer> {
  const { cert, key } = await authority.issue('localhost', 'server');
  const counts = { requests: 0, unchanged: 0 };
  const sockets = new Set<Socket>();
  let ended = 0;
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    counts.requests++;
    if (started.answer !== undefined) {
      started.answer(request, response);
      return;
    }
    const etag = `"${createHash('sha256').update(started.content).digest('base64url')}"`;
    response.setHeader('etag', etag);
    if (request.headers['if-none-match'] === etag) {
      counts.unchanged++;
      response.writeHead(304).end();
    } else response.end(started.content);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      ended += socket.bytesRead + socket.bytesWritten;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const started: BundleServer = {
    url: `https://localhost:${(server.address() as AddressInfo).port}/bearerd.jws`,
    content: '',
    answer: undefined,
    counts,
    bytes: () =>
      [...sockets].reduce((sum, { bytesRead, bytesWritten }) => sum + bytesRead + bytesWritten, ended),
    stop: () => endServer(server),
  };
  return started;
}
