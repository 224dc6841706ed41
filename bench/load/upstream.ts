// The server behind the measured Envoy, as a process of its own: it looks for the end of a request's head and answers, no
// more. A whole proxy here costs as much as the one that is measured: both cores are full then, and what is taken for the
// door's cost is partly the reading of a 900-byte header (push_vs_no_auth 0.92 so, 0.95 with this).
import { createServer, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type StartedProcess, startProcess } from '../../test/support/process.ts';

export interface Upstream extends StartedProcess {
  readonly port: number;
}

/** GET only, without bodies and pipelining; `/seen` answers with the credential in `x-seen`. */
export async function startUpstream(): Promise<Upstream> {
  const started = await startProcess(process.execPath, [fileURLToPath(import.meta.url)], {
    name: 'upstream',
  });
  const [, port] = await started.waitForOutput(/^listening (\d+)$/m);
  return { ...started, port: Number(port) };
}

const OK = Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');

function serve(socket: Socket): void {
  let head = '';
  socket.on('error', () => {});
  socket.on('data', (read) => {
    head += read.toString('latin1');
    if (!head.endsWith('\r\n\r\n')) return;
    if (head.startsWith('GET /seen ')) {
      const [, credential] = /^authorization: (.*)\r$/im.exec(head) ?? [];
      socket.write(`HTTP/1.1 200 OK\r\nx-seen: ${credential ?? '-'}\r\ncontent-length: 0\r\n\r\n`);
    } else {
      socket.write(OK);
    }
    head = '';
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = createServer({ noDelay: true }, serve).listen(0, '127.0.0.1', () => {
    console.log(`listening ${(server.address() as { port: number }).port}`);
  });
}
