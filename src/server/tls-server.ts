// TLS in front of a listener: 1.3 only, client certificates by their URI names, new files taken over while it runs.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { watchFile } from '../lib/watch.ts';
import type { Observer } from '../telemetry/observer.ts';
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
  const { files, name, observer, clock } = options;
  const first = await readPair(files, clock);
  const server = createServer({
    ...first.context,
    minVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  });
  observer.certificateLoaded(name, first.notAfter);
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

  let current = first.fingerprint;
  let reloading = Promise.resolve();
  const reload = (): void => {
    reloading = reloading.then(async () => {
      try {
        const next = await readPair(files, clock);
        if (next.fingerprint === current) return;
        server.setSecureContext({ ...next.context, minVersion: 'TLSv1.3' });
        current = next.fingerprint;
        observer.certificateLoaded(name, next.notAfter);
      } catch (error) {
        // One file is new and the other not yet, or it is wrong: the last good pair serves on.
        observer.certificateRefused(name, (error as Error).message);
      }
    });
  };
  const stops = [files.certificate, files.privateKey, files.clientCa].map((path) =>
    watchFile(path, clock, reload),
  );
  return {
    server,
    stopWatching() {
      for (const stop of stops) stop();
    },
  };
}

interface Pair {
  readonly context: SecureContextOptions;
  readonly notAfter: number;
  /** Of all three files together. */
  readonly fingerprint: string;
}

async function readPair(files: TlsFiles, clock: Clock): Promise<Pair> {
  const [cert, key, ca] = await Promise.all(
    [files.certificate, files.privateKey, files.clientCa].map((path) =>
      readFile(path).catch((error: NodeJS.ErrnoException) => {
        throw new Error(`${path} cannot be read (${error.code ?? 'unknown'})`);
      }),
    ),
  );
  const context = { cert: cert!, key: key!, ca: ca! };
  const own = parse(cert!, files.certificate);
  parse(ca!, files.clientCa);
  try {
    createSecureContext(context);
  } catch {
    // The text of the library may quote what it could not read.
    throw new Error(`${files.privateKey} is not the private key of ${files.certificate}`);
  }
  const notAfter = own.validToDate.getTime();
  if (notAfter <= clock.now())
    throw new Error(`${files.certificate} has ended ${own.validToDate.toISOString()}`);
  return { context, notAfter, fingerprint: `${own.fingerprint256}:${ca!.toString('base64')}` };
}

function parse(pem: Buffer, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Error(`${path} is not a certificate in PEM`);
  }
}
