// Puts any net.Server onto a configured address, and takes from under it what it accepted there.
import type { AddressInfo, Server, Socket } from 'node:net';
import type { ListenAddress } from '../lib/address.ts';
import { listenOnUnixSocket } from './unix-socket.ts';

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there (EADDRINUSE)',
  EADDRNOTAVAIL: 'this machine has no such address (EADDRNOTAVAIL)',
  EACCES: 'this user may not have the port (EACCES)',
};

/** Resolves with the bound address, `unix:///…` or `HOST:PORT`; rejects with an Error that names the address. */
export function listenOn(server: Server, address: ListenAddress): Promise<string> {
  if (address.kind === 'unix') return listenOnUnixSocket(server, address);
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(new Error(`cannot listen on ${host}:${port}: ${REASONS[error.code!] ?? error.code}`));
    server.once('error', failed);
    server.listen(port, host, () => {
      server.removeListener('error', failed);
      const bound = server.address() as AddressInfo;
      resolve(`${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`);
    });
  });
}

/**
 * What `server` has accepted, from the first byte on: a connection in its TLS handshake is none of the protocol's yet, and
 * holds close() until the handshake's time is up.
 */
export function acceptedSockets(server: Server): { destroy(): void } {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return {
    destroy() {
      for (const socket of [...sockets]) socket.destroy();
    },
  };
}
