// envoy.service.auth.v3.CheckRequest of an outgoing request: what only policies need of it.
import { createCheckRequestReader } from '../check-request.ts';
import type { Asked } from '../decision/door.ts';
import { MalformedMessage, WireReader } from '../wire.ts';

export interface CheckRequest extends Asked {
  /** The route says that it is of another side. */
  readonly otherSide: boolean;
}

const NONE: (string | undefined)[] = [];

class Reading implements CheckRequest {
  method = '';
  path = '';
  host = '';
  scheme = '';
  requestId = '';
  mark: string | undefined = undefined;
  waitingSince: number | undefined = undefined;
  otherSide = false;
  readonly names: readonly string[];
  /** Of the names, each at its place; the first is requestId. */
  readonly values: (string | undefined)[];

  constructor(names: readonly string[]) {
    this.names = names;
    this.values = names.length === 1 ? NONE : new Array(names.length).fill(undefined);
  }

  header(name: string): string | undefined {
    return this.values[this.names.indexOf(name)];
  }
}

const reader = new WireReader();
const EXTENSIONS = ['policy', 'side'];
const METHODS = ['GET', 'POST'];

/** What is read of the headers: the request id, and what policies read. */
export function headersToRead(readHeaders: readonly string[]): readonly string[] {
  return ['x-request-id', ...readHeaders.filter((name) => name !== 'x-request-id')];
}

/** `names` are headersToRead(). Throws MalformedMessage. */
export function parseCheckRequest(bytes: Uint8Array, names: readonly string[]): CheckRequest {
  const request = new Reading(names);
  read(bytes, request);
  return request;
}

const read = createCheckRequestReader<Reading>(reader, {
  methods: METHODS,
  attribute(into) {
    if (reader.field === 10) readExtension(into);
    else reader.skip();
  },
  header: readHeader,
  rawHeader: readRawHeader,
});

// HttpRequest.headers: map<string, string>; Envoy has joined repeated ones with commas.
function readHeader(into: Reading): void {
  const outer = reader.enter();
  let which = -1;
  while (reader.next()) {
    if (reader.field === 1) which = reader.indexIn(into.names);
    else if (reader.field === 2 && which !== -1) keep(into, which, reader.string());
    else reader.skip();
  }
  reader.leave(outer);
}

// HttpRequest.header_map: HeaderMap { headers = 1 }, with encode_raw_headers: HeaderValue { key, value, raw_value }
// HeaderValue { key = 1, value = 2, raw_value = 3 }
function readRawHeader(into: Reading): void {
  const outer = reader.enter();
  let which = -1;
  let value = '';
  while (reader.next()) {
    if (reader.field === 1) which = reader.indexIn(into.names);
    else if ((reader.field === 2 || reader.field === 3) && which !== -1) value = reader.string() || value;
    else reader.skip();
  }
  if (which !== -1) keep(into, which, value);
  reader.leave(outer);
}

function keep(into: Reading, which: number, value: string): void {
  if (which === 0) {
    into.requestId = value;
    return;
  }
  // Two of them are one list (RFC 9110, section 5.3), which is no token.
  const before = into.values[which];
  into.values[which] = before === undefined ? value : `${before},${value}`;
}

// AttributeContext.context_extensions: map<string, string>
function readExtension(into: Reading): void {
  const outer = reader.enter();
  let key = -1;
  let value = '';
  while (reader.next()) {
    if (reader.field === 1) key = reader.indexIn(EXTENSIONS);
    else if (reader.field === 2) value = reader.string();
    else reader.skip();
  }
  if (key === 0) into.mark = value;
  // A route may confirm the side, which is the listener's; a route of another side asks at the wrong one.
  if (key === 1 && value !== 'outbound') into.otherSide = true;
  reader.leave(outer);
}

export { MalformedMessage };
