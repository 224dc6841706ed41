// TLS in front of a listener: 1.3 only, client certificates by their URI names, new files taken over while it runs.
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import type { Observer } from '../telemetry/observer.ts';
import { readCertificateFiles } from './certificate-files.ts';
import { matchesUri, uriNames } from './uri-names.ts';

export interface TlsFiles {
  /** PEM, the chain with the server's own certificate first. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM bundle that client certificates must lead to. */
  readonly clientCa: string;
  /** URI names (SAN) of allowed clients; `*` at the end stands for anything. */
  readonly allowedUris: readonly string[];
}

export interface TlsServerOptions {
  readonly files: TlsFiles;
  /** Of the listener, for the observer. */
  readonly name: string;
  readonly observer: Observer;
  readonly clock: Clock;
  /** What is spoken inside (ALPN). Default h2. */
  readonly protocol?: 'h2' | 'http/1.1';
}

export interface TlsServer {
  readonly server: Server;
  /** Of the files. */
  stopWatching(): void;
}

/** A handshake that takes longer is no handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Rejects with an Error that names the file to look at; `serve` gets only connections of allowed clients. */
export async function createTlsServer(
  options: TlsServerOptions,
  serve: (socket: TLSSocket) => void,
): Promise<TlsServer> {
  const { files, name, observer, clock, protocol = 'h2' } = options;
  const pair = await readCertificateFiles(files, { name, observer, clock });
  const server = createServer({
    ...pair.context,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: [protocol],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {}); // 'close' follows
    const uris = uriNames(socket.getPeerX509Certificate()?.subjectAltName);
    // X.509-SVIDs have exactly one (SPIFFE X509-SVID, section 2); several would let the wrong one count.
    const allowed = uris.length === 1 && files.allowedUris.some((pattern) => matchesUri(pattern, uris[0]!));
    if (allowed) return serve(socket);
    observer.peerFault(name, 'client_not_allowed');
    socket.destroy();
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    observer.peerFault(name, error.code === 'ERR_SSL_UNSUPPORTED_PROTOCOL' ? 'tls_version' : 'tls_handshake');
    socket.destroy();
  });

  const stopWatching = pair.follow((context) =>
    server.setSecureContext({ ...context, minVersion: 'TLSv1.3' }),
  );
  return { server, stopWatching };
}
