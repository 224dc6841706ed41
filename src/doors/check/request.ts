// envoy.service.auth.v3.CheckRequest, read lazily: only what policies need becomes a string.
// Later values replace earlier ones and repeated sub-messages merge, as protobuf demands.
import { MalformedMessage, WireReader } from '../wire.ts';

export interface CheckRequest {
  method: string;
  /** As Envoy sends it: with its query. Used, never logged. */
  path: string;
  host: string;
  scheme: string;
  /** Value of x-request-id; empty when there is none. */
  requestId: string;
  /** context_extensions["policy"] of the route; undefined when the route carries no mark. */
  mark: string | undefined;
  /** The route says that it is of another side. */
  otherSide: boolean;
}

const reader = new WireReader();
const EXTENSIONS = ['policy', 'side'];
const METHODS = ['GET', 'POST'];
const SCHEMES = ['http', 'https'];

/** Throws MalformedMessage. */
export function parseCheckRequest(bytes: Uint8Array): CheckRequest {
  const request: CheckRequest = {
    method: '',
    path: '',
    host: '',
    scheme: '',
    requestId: '',
    mark: undefined,
    otherSide: false,
  };
  reader.reset(bytes);
  while (reader.next()) {
    if (reader.field === 1) readAttributes(request);
    else reader.skip();
  }
  return request;
}

// CheckRequest.attributes: AttributeContext
function readAttributes(into: CheckRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 4) readRequest(into);
    else if (reader.field === 10) readExtension(into);
    else reader.skip();
  }
  reader.leave(outer);
}

// AttributeContext.request: Request { time = 1, http = 2 }
function readRequest(into: CheckRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 2) readHttp(into);
    else reader.skip();
  }
  reader.leave(outer);
}

// AttributeContext.HttpRequest
function readHttp(into: CheckRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    switch (reader.field) {
      case 2:
        into.method = reader.oneOf(METHODS);
        break;
      case 3:
        readHeader(into);
        break;
      case 4:
        into.path = reader.string();
        break;
      case 5:
        into.host = reader.string();
        break;
      case 6:
        into.scheme = reader.oneOf(SCHEMES);
        break;
      case 13:
        readHeaderMap(into);
        break;
      default:
        reader.skip();
    }
  }
  reader.leave(outer);
}

// HttpRequest.headers: map<string, string>
function readHeader(into: CheckRequest): void {
  const outer = reader.enter();
  let wanted = false;
  while (reader.next()) {
    if (reader.field === 1) wanted = reader.is('x-request-id');
    else if (reader.field === 2 && wanted) into.requestId = reader.string();
    else reader.skip();
  }
  reader.leave(outer);
}

// HttpRequest.header_map: HeaderMap { headers = 1 }, with encode_raw_headers: HeaderValue { key, value, raw_value }
function readHeaderMap(into: CheckRequest): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field !== 1) {
      reader.skip();
      continue;
    }
    const header = reader.enter();
    let wanted = false;
    while (reader.next()) {
      if (reader.field === 1) wanted = reader.is('x-request-id');
      else if ((reader.field === 2 || reader.field === 3) && wanted)
        into.requestId = reader.string() || into.requestId;
      else reader.skip();
    }
    reader.leave(header);
  }
  reader.leave(outer);
}

// AttributeContext.context_extensions: map<string, string>
function readExtension(into: CheckRequest): void {
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
