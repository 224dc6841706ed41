// One HTTP/2 connection of the load: frames made in advance, of which only the stream identifier changes.
import { connect, type Socket } from 'node:net';
import { PREFACE } from '../../src/http2/frames.ts';
import { injectedAuthorization } from './answer.ts';

export interface LoadRequest {
  readonly message: Buffer;
  readonly token: string;
  /** The DATA of the first answer, once it was found right. */
  answer: Buffer | undefined;
}

// :method and :scheme, then path, authority, content-type, te and grpc-timeout: first as literals with indexing, later
// from the dynamic table, as every gRPC client sends them.
const FIRST_HEAD = Buffer.concat([
  Buffer.of(0x83, 0x86),
  literal(4, '/envoy.service.auth.v3.Authorization/Check'),
  literal(1, 'bearerd'),
  literal(31, 'application/grpc'),
  literal('te', 'trailers'),
  literal('grpc-timeout', '4300m'),
]);
const NEXT_HEAD = Buffer.of(0x83, 0x86, 0xc2, 0xc1, 0xc0, 0xbf, 0xbe);
const OUT_BYTES = 256 << 10;
const WINDOW = 0x7fff_ffff;
const SLOTS = 4_096;
/** In place of the parts of an answer that was right at once. */
const RIGHT: Buffer[] = [];

export class LoadConnection {
  readonly #socket: Socket;
  readonly #requests: readonly LoadRequest[];
  readonly #callers: number;
  /** Request of each open stream, by (id >> 1) modulo the number of slots. */
  readonly #asked = new Int32Array(SLOTS);
  readonly #parts: (Buffer[] | undefined)[] = new Array(SLOTS);
  readonly #out = Buffer.allocUnsafeSlow(OUT_BYTES);
  #used = 0;
  #nextId = 1;
  #next = 0;
  #toStart = 0;
  #open = 0;
  #sendWindow = 65_535;
  #received = 0;
  #rest: Buffer | undefined;
  #done: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  static async open(
    path: string,
    requests: readonly LoadRequest[],
    callers: number,
  ): Promise<LoadConnection> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new LoadConnection(socket, requests, callers);
  }

  constructor(socket: Socket, requests: readonly LoadRequest[], callers: number) {
    this.#socket = socket;
    this.#requests = requests;
    this.#callers = callers;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('close', () => this.#fail('the server closed the connection'));
    socket.on('error', () => {});
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4); // INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(WINDOW, 2);
    socket.write(PREFACE);
    this.#frame(4, 0, 0, settings);
    this.#frame(8, 0, 0, number32(WINDOW - 65_535));
    this.#flush();
  }

  /** Resolves when so many calls are answered; rejects at the first wrong answer. */
  run(calls: number, offset: number): Promise<void> {
    this.#toStart = calls;
    this.#next = offset % this.#requests.length;
    return new Promise((resolve, reject) => {
      this.#done = resolve;
      this.#failed = reject;
      this.#start();
      this.#flush();
    });
  }

  #start(): void {
    while (this.#toStart > 0 && this.#open < this.#callers) {
      const { message } = this.#requests[this.#next]!;
      const size = message.length + 5;
      if (size > this.#sendWindow) return; // the next WINDOW_UPDATE starts it
      const id = this.#nextId;
      this.#nextId += 2;
      this.#toStart--;
      this.#open++;
      this.#sendWindow -= size;
      this.#asked[(id >> 1) & (SLOTS - 1)] = this.#next;
      this.#next = (this.#next + 1) % this.#requests.length;
      this.#frame(1, 4, id, id === 1 ? FIRST_HEAD : NEXT_HEAD);
      this.#room(9 + size);
      this.#header(size, 0, 1, id);
      this.#out[this.#used] = 0;
      this.#out.writeUInt32BE(message.length, this.#used + 1);
      this.#out.set(message, this.#used + 5);
      this.#used += size;
    }
  }

  #read(chunk: Buffer): void {
    const data = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    let at = 0;
    while (data.length - at >= 9) {
      const end = at + 9 + ((data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!);
      if (end > data.length) break;
      this.#take(data, at, end);
      at = end;
    }
    if (at < data.length) this.#rest = data.subarray(at);
    this.#start();
    this.#flush();
    if (this.#toStart > 0 || this.#open > 0) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  #take(data: Buffer, at: number, end: number): void {
    const type = data[at + 3]!;
    const flags = data[at + 4]!;
    const id = data.readUInt32BE(at + 5) & WINDOW;
    const slot = (id >> 1) & (SLOTS - 1);
    if (type === 0) this.#data(slot, data, at + 9, end);
    if (type <= 1) {
      if ((flags & 1) !== 0) this.#ended(slot);
    } else if (type === 3) this.#fail(`stream ${id} was reset with ${data.readUInt32BE(at + 9)}`);
    else if (type === 7) this.#fail(`GOAWAY ${data.readUInt32BE(at + 13)}`);
    else if (type === 8 && id === 0) this.#sendWindow += data.readUInt32BE(at + 9);
    else if ((flags & 1) === 0 && type === 4) this.#frame(4, 1, 0, Buffer.alloc(0));
    else if ((flags & 1) === 0 && type === 6) this.#frame(6, 1, 0, data.subarray(at + 9, end));
  }

  #data(slot: number, data: Buffer, start: number, end: number): void {
    this.#received += end - start;
    if (this.#received > WINDOW >> 1) {
      this.#frame(8, 0, 0, number32(this.#received));
      this.#received = 0;
    }
    const { answer } = this.#requests[this.#asked[slot]!]!;
    const parts = this.#parts[slot];
    // Most are whole and known.
    const known = answer !== undefined && parts === undefined && answer.length === end - start;
    if (known && answer.compare(data, start, end) === 0) this.#parts[slot] = RIGHT;
    else this.#parts[slot] = [...(parts ?? []), Buffer.from(data.subarray(start, end))];
  }

  #ended(slot: number): void {
    const parts = this.#parts[slot];
    this.#parts[slot] = undefined;
    this.#open--;
    if (parts === RIGHT) return;
    const request = this.#requests[this.#asked[slot]!]!;
    const data = Buffer.concat(parts ?? []);
    const right = data.length > 5 && injectedAuthorization(data.subarray(5)) === `Bearer ${request.token}`;
    if (!right) this.#fail(`request ${this.#asked[slot]} was answered without its token`);
    request.answer = data;
  }

  #fail(message: string): void {
    this.#failed?.(new Error(message));
    this.#socket.destroy();
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    this.#room(9 + payload.length);
    this.#header(payload.length, type, flags, id);
    this.#out.set(payload, this.#used);
    this.#used += payload.length;
  }

  #header(length: number, type: number, flags: number, id: number): void {
    const at = this.#used;
    this.#out.writeUIntBE(length, at, 3);
    this.#out[at + 3] = type;
    this.#out[at + 4] = flags;
    this.#out.writeUInt32BE(id, at + 5);
    this.#used = at + 9;
  }

  #room(bytes: number): void {
    if (this.#used + bytes > OUT_BYTES) this.#flush();
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#socket.write(Buffer.from(this.#out.subarray(0, this.#used)));
    this.#used = 0;
  }
}

function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Literal with indexing; the name by its index in the static table, or as text. RFC 7541, section 6.2.1. */
function literal(name: number | string, value: string): Buffer {
  const text = (t: string) => [t.length, ...Buffer.from(t)];
  return Buffer.from([...(typeof name === 'number' ? [0x40 | name] : [0x40, ...text(name)]), ...text(value)]);
}
