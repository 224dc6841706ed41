// A client of HTTP/2 that sends whatever it is told, legal or not, and keeps every frame that comes back.
import { connect, type Socket } from 'node:net';
import { FrameType, PREFACE } from '../../src/http2/frames.ts';
import { encodeHeaders } from '../../src/http2/hpack/encode.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export interface RawClient {
  readonly socket: Socket;
  readonly frames: Frame[];
  /** The server has closed, or reset, the connection. */
  closed: boolean;
  send(...parts: readonly Uint8Array[]): void;
  /** Resolves when `condition` holds after a frame or the close; rejects after `timeoutMs`. */
  until(condition: () => boolean, timeoutMs?: number): Promise<void>;
  /** Error code of GOAWAY; undefined = none came. */
  goaway(): number | undefined;
  /** Error code of RST_STREAM for this stream. */
  reset(id: number): number | undefined;
  /** Whether the server has ended this stream with END_STREAM. */
  ended(id: number): boolean;
  close(): void;
}

export function frame(
  type: number,
  flags: number,
  id: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(id, 5);
  bytes.set(payload, 9);
  return bytes;
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** One entry of SETTINGS. */
export function setting(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(id);
  bytes.writeUInt32BE(value, 2);
  return bytes;
}

/** Head of a gRPC call. */
export function callHead(path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return encodeHeaders([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ]);
}

/** HEADERS and DATA of a whole gRPC call. */
export function call(
  id: number,
  path: string,
  message: Uint8Array,
  more?: readonly (readonly [string, string])[],
): Buffer {
  const body = Buffer.concat([Buffer.of(0), number32(message.length), message]);
  return Buffer.concat([
    frame(FrameType.HEADERS, 4, id, callHead(path, more)),
    frame(FrameType.DATA, 1, id, body),
  ]);
}

/** @param greet preface and empty SETTINGS are sent. Default true. */
export async function connectRaw(
  path: string,
  greet = true,
  settings: Uint8Array = Buffer.alloc(0),
): Promise<RawClient> {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const frames: Frame[] = [];
  const listeners = new Set<() => void>();
  let rest = Buffer.alloc(0);
  const client: RawClient = {
    socket,
    frames,
    closed: false,
    send: (...parts) => {
      if (!client.closed) socket.write(Buffer.concat(parts));
    },
    until(condition, timeoutMs = 20_000) {
      return new Promise((resolve, reject) => {
        const look = () => {
          if (!condition()) return;
          listeners.delete(look);
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          listeners.delete(look);
          const seen = frames.slice(-5).map(({ type, flags, id }) => `${type}/${flags}/${id}`);
          reject(
            new Error(
              `not within ${timeoutMs} ms: ${condition}; closed ${client.closed}, last frames ${seen}`,
            ),
          );
        }, timeoutMs);
        listeners.add(look);
        look();
      });
    },
    goaway: () => frames.find(({ type }) => type === FrameType.GOAWAY)?.payload.readUInt32BE(4),
    reset: (id) =>
      frames.find((f) => f.type === FrameType.RST_STREAM && f.id === id)?.payload.readUInt32BE(0),
    ended: (id) => frames.some((f) => f.id === id && f.type <= 1 && (f.flags & 1) !== 0),
    close: () => socket.destroy(),
  };
  const told = () => {
    for (const listener of [...listeners]) listener();
  };
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 9) {
      const end = at + 9 + rest.readUIntBE(at, 3);
      if (end > rest.length) break;
      frames.push({
        type: rest[at + 3]!,
        flags: rest[at + 4]!,
        id: rest.readUInt32BE(at + 5) & 0x7fff_ffff,
        payload: Buffer.from(rest.subarray(at + 9, end)),
      });
      at = end;
    }
    rest = rest.subarray(at);
    told();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    client.closed = true;
    told();
  });
  if (greet) client.send(PREFACE, frame(FrameType.SETTINGS, 0, 0, settings));
  return client;
}
