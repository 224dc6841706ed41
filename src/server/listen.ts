// Puts any net.Server onto a configured address.
import type { AddressInfo, Server } from 'node:net';
import type { ListenAddress } from '../lib/address.ts';
import { listenOnUnixSocket } from './unix-socket.ts';

/** Resolves with the bound address, `unix:///…` or `HOST:PORT`; rejects with an Error that names the address. */
export function listenOn(server: Server, address: ListenAddress): Promise<string> {
  if (address.kind === 'unix') return listenOnUnixSocket(server, address);
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) =>
      reject(new Error(`cannot listen on ${host}:${port} (${error.code ?? 'unknown'})`));
    server.once('error', failed);
    server.listen(port, host, () => {
      server.removeListener('error', failed);
      const bound = server.address() as AddressInfo;
      resolve(`${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`);
    });
  });
}
