// envoy.service.auth.v3.CheckRequest as both sides read it, lazily: only what is needed becomes a string. Hot.
// Later values replace earlier ones and repeated sub-messages merge, as protobuf demands.
import type { WireReader } from './wire.ts';

interface HttpRequest {
  method: string;
  path: string;
  host: string;
  scheme: string;
}

/** What a side reads beside the request line. Each gets the field that the reader stands at, and moves past it. */
export interface Side<Into> {
  readonly methods: readonly string[];
  /** Of AttributeContext, but for its request. */
  attribute(into: Into): void;
  /** Of HttpRequest.headers, map<string, string>; Envoy has joined repeated ones with commas. */
  header(into: Into): void;
  /** Of HttpRequest.header_map, with encode_raw_headers: HeaderValue { key, value, raw_value }. */
  rawHeader(into: Into): void;
}

const SCHEMES = ['http', 'https'];

export function createCheckRequestReader<Into extends HttpRequest>(
  reader: WireReader,
  { methods, attribute, header, rawHeader }: Side<Into>,
): (bytes: Uint8Array, into: Into) => void {
  /** Throws MalformedMessage. */
  return (bytes, into) => {
    reader.reset(bytes);
    while (reader.next()) {
      if (reader.field === 1) readAttributes(into);
      else reader.skip();
    }
  };

  // CheckRequest.attributes: AttributeContext
  function readAttributes(into: Into): void {
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === 4) readRequest(into);
      else attribute(into);
    }
    reader.leave(outer);
  }

  // AttributeContext.request: Request { time = 1, http = 2 }
  function readRequest(into: Into): void {
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === 2) readHttp(into);
      else reader.skip();
    }
    reader.leave(outer);
  }

  // AttributeContext.HttpRequest
  function readHttp(into: Into): void {
    const outer = reader.enter();
    while (reader.next()) {
      switch (reader.field) {
        case 2:
          into.method = reader.oneOf(methods);
          break;
        case 3:
          header(into);
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

  // HttpRequest.header_map: HeaderMap { headers = 1 }
  function readHeaderMap(into: Into): void {
    const outer = reader.enter();
    while (reader.next()) {
      if (reader.field === 1) rawHeader(into);
      else reader.skip();
    }
    reader.leave(outer);
  }
}
