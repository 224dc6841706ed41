// envoy.service.auth.v3.CheckRequest of an incoming request, read lazily: only what rules need becomes a string.
import { createCheckRequestReader } from '../check-request.ts';
import { MalformedMessage, WireReader } from '../wire.ts';

export interface InboundRequest {
  method: string;
  /** With its query. Used, never logged. */
  path: string;
  host: string;
  scheme: string;
  /** The connection came by TLS: Envoy knows the name that was asked for (SNI), or the caller's certificate. */
  tls: boolean;
  /** IP address of the connection. */
  address: string;
  /** First name of the caller's certificate; Envoy verified it. */
  principal: string;
  /** Its certificate, URL-encoded PEM. */
  certificate: string;
  /** context_extensions of the route: may confirm, never choose. */
  side: string | undefined;
  policy: string | undefined;
  /** By position in the reader's list; undefined = not there. With `headers` doubled ones are joined by commas. */
  readonly values: (string | undefined)[];
  /** How often each came, as far as Envoy tells (encode_raw_headers). */
  readonly counts: number[];
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS'];
const EXTENSIONS = ['side', 'policy'];
const reader = new WireReader();

/** `names`: headers that are wanted, lower case. */
export function createInboundReader(names: readonly string[]): (bytes: Uint8Array) => InboundRequest {
  const read = createCheckRequestReader<InboundRequest>(reader, {
    methods: METHODS,
    attribute,
    header: readHeader,
    rawHeader: readHeader,
  });

  /** Throws MalformedMessage. */
  return (bytes) => {
    const request: InboundRequest = {
      method: '',
      path: '',
      host: '',
      scheme: '',
      tls: false,
      address: '',
      principal: '',
      certificate: '',
      side: undefined,
      policy: undefined,
      values: new Array<string | undefined>(names.length).fill(undefined),
      counts: new Array<number>(names.length).fill(0),
    };
    read(bytes, request);
    return request;
  };

  // An entry of map<string, string>, or HeaderValue { key = 1, value = 2, raw_value = 3 }: the same to read.
  function readHeader(into: InboundRequest): void {
    const outer = reader.enter();
    let at = -1;
    let value: string | undefined;
    while (reader.next()) {
      const { field } = reader;
      if (field === 1) at = reader.indexIn(names);
      else if ((field === 2 || field === 3) && at !== -1) value = reader.string() || value;
      else reader.skip();
    }
    if (at !== -1) {
      const before = into.values[at];
      into.values[at] = before === undefined ? (value ?? '') : `${before},${value ?? ''}`;
      into.counts[at]!++;
    }
    reader.leave(outer);
  }
}

function attribute(into: InboundRequest): void {
  if (reader.field === 1) readPeer(into);
  else if (reader.field === 10) readExtension(into);
  else if (reader.field === 12) readTlsSession(into);
  else reader.skip();
}

// AttributeContext.Peer { address = 1, principal = 4, certificate = 5 }
function readPeer(into: InboundRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) readAddress(into);
    else if (reader.field === 4) into.principal = reader.string();
    else if (reader.field === 5) into.certificate = reader.string();
    else reader.skip();
  }
  if (into.principal !== '' || into.certificate !== '') into.tls = true;
  reader.leave(outer);
}

// AttributeContext.TLSSession { sni = 1 }: Envoy 1.36 to 1.40 send it of plain text too, empty.
function readTlsSession(into: InboundRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1 && reader.string() !== '') into.tls = true;
    else if (reader.field !== 1) reader.skip();
  }
  reader.leave(outer);
}

// Address { socket_address = 1 }
function readAddress(into: InboundRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) readSocketAddress(into);
    else reader.skip();
  }
  reader.leave(outer);
}

// SocketAddress { address = 2 }
function readSocketAddress(into: InboundRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 2) into.address = reader.string();
    else reader.skip();
  }
  reader.leave(outer);
}

// AttributeContext.context_extensions: map<string, string>
function readExtension(into: InboundRequest): void {
  const outer = reader.enter();
  let key = -1;
  while (reader.next()) {
    const { field } = reader;
    if (field === 1) key = reader.indexIn(EXTENSIONS);
    else if (field === 2 && key === 0) into.side = reader.string();
    else if (field === 2 && key === 1) into.policy = reader.string();
    else reader.skip();
  }
  reader.leave(outer);
}

export { MalformedMessage };
