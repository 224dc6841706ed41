// Free loopback ports, for parts that cannot listen on port 0 and tell what they got. They lie below those that Linux gives
// away by itself (from 32,768 on), and the bus of a cluster's node, 10,000 above, does too: nobody gets one by chance while
// its part starts, or is away for a moment.
import { createServer } from 'node:net';

const FIRST = 10_000;
const COUNT = 10_000;

/** Test files run side by side, a process each: each begins elsewhere, and gives none twice. */
let given = (process.pid * 37) % COUNT;

/** Ports on which nobody listens now. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = FIRST + (given++ % COUNT);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

export async function freePort(): Promise<number> {
  return (await freePorts(1))[0]!;
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
