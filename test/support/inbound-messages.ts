// CheckRequests as Envoy sends them for incoming requests, and CheckResponses taken apart.
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';

export interface InboundSketch {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly scheme?: string;
  /** A list of values is one header a value in raw form, joined by commas in the map form. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** header_map, as with encode_raw_headers. Default true. */
  readonly raw?: boolean;
  readonly address?: string;
  readonly principal?: string;
  readonly certificate?: string;
  readonly tls?: boolean;
  readonly extensions?: Readonly<Record<string, string>>;
}

export function inboundRequest(sketch: InboundSketch = {}): Uint8Array {
  const { headers = {}, raw = true, extensions = {} } = sketch;
  const socket = new BinaryWriter()
    .tag(2, 2)
    .string(sketch.address ?? '127.0.0.1')
    .tag(3, 0)
    .uint32(40_000);
  const source = new BinaryWriter()
    .tag(1, 2)
    .bytes(new BinaryWriter().tag(1, 2).bytes(socket.finish()).finish());
  if (sketch.principal !== undefined) source.tag(4, 2).string(sketch.principal);
  if (sketch.certificate !== undefined) source.tag(5, 2).string(sketch.certificate);

  const http = new BinaryWriter().tag(2, 2).string(sketch.method ?? 'GET');
  const list = Object.entries(headers);
  if (!raw) {
    for (const [name, value] of list) http.tag(3, 2).bytes(pair(name, [value].flat().join(',')));
  }
  http
    .tag(4, 2)
    .string(sketch.path ?? '/')
    .tag(5, 2)
    .string(sketch.host ?? 'api.example.com');
  http
    .tag(6, 2)
    .string(sketch.scheme ?? 'http')
    .tag(10, 2)
    .string('HTTP/1.1');
  if (raw) {
    const map = new BinaryWriter();
    for (const [name, value] of list) {
      for (const one of [value].flat()) {
        map
          .tag(1, 2)
          .bytes(new BinaryWriter().tag(1, 2).string(name).tag(3, 2).bytes(Buffer.from(one)).finish());
      }
    }
    http.tag(13, 2).bytes(map.finish());
  }
  const attributes = new BinaryWriter().tag(1, 2).bytes(source.finish());
  attributes.tag(4, 2).bytes(new BinaryWriter().tag(2, 2).bytes(http.finish()).finish());
  for (const [key, value] of Object.entries(extensions)) attributes.tag(10, 2).bytes(pair(key, value));
  // Envoy sends an empty one of plain text.
  const session = new BinaryWriter();
  if (sketch.tls) session.tag(1, 2).string('api.example.com');
  attributes.tag(12, 2).bytes(session.finish());
  return new BinaryWriter().tag(1, 2).bytes(attributes.finish()).finish();
}

function pair(key: string, value: string): Uint8Array {
  return new BinaryWriter().tag(1, 2).string(key).tag(2, 2).string(value).finish();
}

export interface InboundAnswer {
  /** 200 = let in. */
  readonly status: number;
  /** Of the denied response, or what is put on the answer of the upstream. */
  readonly headers: Readonly<Record<string, string>>;
  /** Set on the request. */
  readonly set: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
  readonly body: string;
}

export function readInboundAnswer(bytes: Uint8Array): InboundAnswer {
  let status = 200;
  let body = '';
  const headers: Record<string, string> = {};
  const set: Record<string, string> = {};
  const removed: string[] = [];
  fields(bytes, {
    2: (denied) =>
      fields(denied, {
        1: (code) => {
          const reader = new BinaryReader(code);
          reader.tag();
          status = reader.int32();
        },
        2: (option) => header(option, headers),
        3: (text) => {
          body = Buffer.from(text).toString();
        },
      }),
    3: (ok) =>
      fields(ok, {
        2: (option) => header(option, set),
        5: (name) => removed.push(Buffer.from(name).toString()),
        6: (option) => header(option, headers),
      }),
  });
  return { status, headers, set, removed, body };
}

function header(option: Uint8Array, into: Record<string, string>): void {
  fields(option, {
    1: (value) => {
      const parts: Record<number, string> = {};
      const text = (field: number) => (bytes: Uint8Array) => {
        parts[field] = Buffer.from(bytes).toString();
      };
      fields(value, { 1: text(1), 2: text(2) });
      into[parts[1] ?? ''] = parts[2] ?? '';
    },
  });
}

function fields(message: Uint8Array, readers: Record<number, (bytes: Uint8Array) => unknown>): void {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const read = readers[field];
    if (read !== undefined && type === 2) read(reader.bytes());
    else reader.skip(type, field);
  }
}
