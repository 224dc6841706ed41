// A bidirectional stream of a grpc-js client with typed messages.
import type * as grpc from '@grpc/grpc-js';

export interface ClientStream<Req, Res> {
  send(message: Req): void;
  /** Anything, as the peer would see it. */
  sendBytes(bytes: Uint8Array): void;
  /** The next message; rejects after `timeoutMs` (default 10,000) or when the stream has ended. */
  next(timeoutMs?: number): Promise<Res>;
  /** Rejects when a message comes within `ms`. */
  silence(ms: number): Promise<void>;
  readonly status: Promise<{ readonly code: number; readonly details: string }>;
  cancel(): void;
}

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export function openStream<Req, Res>(
  client: grpc.Client,
  path: string,
  request: Codec<Req>,
  response: Codec<Res>,
): ClientStream<Req, Res> {
  const call = client.makeBidiStreamRequest<Uint8Array, Res>(
    path,
    (bytes) => Buffer.from(bytes),
    (bytes) => response.decode(bytes),
  );
  const received: Res[] = [];
  let wake = () => {};
  let ended = false;
  call.on('data', (message: Res) => {
    received.push(message);
    wake();
  });
  call.on('error', () => {});
  const status = new Promise<{ code: number; details: string }>((resolve) => {
    call.on('status', ({ code, details }) => {
      ended = true;
      resolve({ code, details });
      wake();
    });
  });
  return {
    send: (message) => void call.write(request.encode(message).finish()),
    sendBytes: (bytes) => void call.write(bytes),
    async next(timeoutMs = 10_000) {
      const until = performance.now() + timeoutMs;
      while (received.length === 0) {
        const left = until - performance.now();
        if (ended) throw new Error('the stream has ended');
        if (left <= 0) throw new Error(`no message within ${timeoutMs} ms`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      return received.shift()!;
    },
    async silence(ms) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (received.length > 0) throw new Error(`${received.length} messages came`);
    },
    status,
    cancel: () => call.cancel(),
  };
}
