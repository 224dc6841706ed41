// The production connection code with the simplest service on it: any whole request is answered 200 with a small body.
import { type AddressInfo, createServer } from 'node:net';
import { type Connection, createConnection } from '../../src/http2/connection.ts';
import { encodeHeaders } from '../../src/http2/hpack/encode.ts';
import { DEFAULT_LIMITS } from '../../src/http2/limits.ts';
import type { Handler } from '../../src/http2/service.ts';
import type { Stream } from '../../src/http2/stream.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { withOneReadBuffer } from '../../src/server/read-buffer.ts';

export interface Http2Fixture {
  readonly port: number;
  stop(): Promise<void>;
}

const HEAD = encodeHeaders([[':status', '200']]);
const NOTHING = new Uint8Array();
const BODY = Buffer.from('hello from the fixture\n');

/** Answers each request when it is whole. */
const hello: Handler = {
  open: (stream, ended) => ended && answer(stream),
  data: (stream, _chunk, _start, _end, ended) => ended && answer(stream),
  cancelled: () => false,
} as Handler;

function answer(stream: Stream): void {
  stream.sendHead(HEAD);
  stream.sendData(BODY);
  stream.end(NOTHING);
}

export async function startHttp2Fixture(): Promise<Http2Fixture> {
  const connections = new Set<Connection>();
  const server = createServer({ pauseOnConnect: true }, (accepted) => {
    const connection = createConnection(
      withOneReadBuffer(accepted),
      { route: () => hello },
      {
        limits: DEFAULT_LIMITS,
        clock: systemClock,
        random: () => 0.5,
        onFault: () => {},
        onClose: () => connections.delete(connection),
      },
    );
    connections.add(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      for (const connection of connections) connection.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
