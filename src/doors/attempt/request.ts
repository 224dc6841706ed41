// envoy.service.ext_proc.v3.ProcessingRequest with request headers, read lazily: only what policies need becomes a string.
// Later values replace earlier ones and repeated sub-messages merge, as protobuf demands.
import type { ProofConfig } from '../../config/config.ts';
import type { Asked } from '../decision/door.ts';
import { MalformedMessage, WireReader } from '../wire.ts';

export interface AttemptRequest extends Asked {
  /** 2 for each but the first. */
  readonly attempt: 1 | 2;
  /** Value of a header that credentials are put into, as the attempt carries it now; undefined: it has none. */
  header(name: string): string | undefined;
}

class Attempt implements AttemptRequest {
  method = '';
  path = '';
  host = '';
  scheme = '';
  requestId = '';
  readonly mark: string | undefined;
  waitingSince: number | undefined = undefined;
  attempt: 1 | 2 = 1;
  readonly #names: readonly string[];
  /** By position in the names; what has a field of its own is missing here. */
  readonly values: (string | undefined)[] = [];

  constructor(names: readonly string[], mark: string | undefined) {
    this.#names = names;
    this.mark = mark;
  }

  header(name: string): string | undefined {
    return this.values[this.#names.indexOf(name)];
  }
}

/**
 * Metadata of Envoy's call: names of the policies that the filter's cluster was made for, the leak guard. As an attribute
 * (CEL on the cluster's metadata) it would cost Envoy 4 µs an attempt.
 */
export const MARK = 'bearerd-policy';

// Envoy sets the count itself where the virtual host says include_request_attempt_count; a forged one is overwritten.
const FIXED = [':method', ':path', ':authority', ':scheme', 'x-request-id', 'x-envoy-attempt-count'];
const METHODS = ['GET', 'POST'];
const SCHEMES = ['http', 'https'];

/** Headers of the app that a signature covers. */
export function signedHeaders(proof: ProofConfig | undefined): readonly string[] {
  return proof?.sign?.components.filter((name) => !name.startsWith('@')) ?? [];
}

const reader = new WireReader();

/** Headers that Envoy has to send; `carried` are those that credentials are put into. */
export function headersOf(carried: readonly string[]): readonly string[] {
  return [...FIXED, ...carried];
}

/** `names` comes from headersOf. Throws MalformedMessage, also for a message of another phase: none was asked for. */
export function parseAttemptRequest(
  bytes: Uint8Array,
  names: readonly string[],
  mark: string | undefined,
): AttemptRequest {
  const request = new Attempt(names, mark);
  let seen = false;
  reader.reset(bytes);
  while (reader.next()) {
    if (reader.field === 2) {
      seen = true;
      readHttpHeaders(request, names);
    } else reader.skip();
  }
  if (!seen) throw new MalformedMessage('no request headers');
  return request;
}

// HttpHeaders { headers = 1, end_of_stream = 3 }
function readHttpHeaders(into: Attempt, names: readonly string[]): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) readHeaderMap(into, names);
    else reader.skip();
  }
  reader.leave(outer);
}

// HeaderMap { headers = 1 }
function readHeaderMap(into: Attempt, names: readonly string[]): void {
  const outer = reader.enter();
  while (reader.next()) {
    if (reader.field === 1) readHeader(into, names);
    else reader.skip();
  }
  reader.leave(outer);
}

// HeaderValue { key = 1, value = 2, raw_value = 3 }: Envoy fills raw_value.
function readHeader(into: Attempt, names: readonly string[]): void {
  const outer = reader.enter();
  let which = -1;
  while (reader.next()) {
    if (reader.field === 1) which = reader.indexIn(names);
    else if ((reader.field === 2 || reader.field === 3) && which !== -1) readValue(into, which);
    else reader.skip();
  }
  reader.leave(outer);
}

function readValue(into: Attempt, which: number): void {
  switch (which) {
    case 0:
      into.method = reader.oneOf(METHODS);
      return;
    case 1:
      into.path = reader.string();
      return;
    case 2:
      into.host = reader.string();
      return;
    case 3:
      into.scheme = reader.oneOf(SCHEMES);
      return;
    case 4:
      into.requestId = reader.string();
      return;
    case 5:
      into.attempt = reader.is('1') ? 1 : 2;
      return;
    default: {
      // Two of them are one list (RFC 9110, section 5.3), which is no credential of ours.
      const before = into.values[which];
      const value = reader.string();
      into.values[which] = before === undefined ? value : `${before}, ${value}`;
    }
  }
}
