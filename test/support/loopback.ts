// Servers of a test on a port of loopback.
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';

/** A test, or `{ after }` of node:test: the whole file. */
export interface Lifetime {
  after(end: () => void): void;
}

/** Port of `server`, which ends with `t`, and with it every connection. */
export async function listening(t: Lifetime, server: Server): Promise<number> {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** Port of a plain HTTP server. */
export function startUpstream(t: Lifetime, answer: RequestListener): Promise<number> {
  return listening(t, createServer(answer));
}

/** Ends it, and every connection to it. */
export function endServer(server: Pick<HttpServer, 'close' | 'closeAllConnections'>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
