// One buffer for the reads of all plain connections. By itself Node takes 64 KB for each read and gives back what was not
// filled, which was more than a third of the processor time of a Check, and 20 MB of memory under load (bench: direct).
import { Socket, type SocketConstructorOpts } from 'node:net';

const READ_BYTES = 64 << 10;
const buffer = Buffer.allocUnsafeSlow(READ_BYTES);

/** Taken over as Node's own cluster module does it; there is no public word for it. */
interface Handled {
  _handle?: object | null;
}

/**
 * The connection of `accepted`, a socket from a server with `pauseOnConnect`, as a socket that reads into the one buffer:
 * what it emits as 'data' is valid only until the listeners return.
 */
export function withOneReadBuffer(accepted: Socket): Socket {
  const handle = (accepted as Handled)._handle;
  if (!handle) return accepted.resume();
  (accepted as Handled)._handle = null;
  const socket: Socket = new Socket({
    handle,
    onread: {
      buffer,
      callback: (size: number) => {
        socket.emit('data', buffer.subarray(0, size));
        return true;
      },
    },
  } as SocketConstructorOpts);
  // The server counts the one that it has accepted.
  socket.once('close', () => accepted.destroy());
  return socket.resume();
}
