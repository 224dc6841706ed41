// One access log entry as what we need of it. Pure. Entries come from outside: nothing in them is trusted to be there.
import { RequestMethod } from '../../gen/envoy/config/core/v3/base.ts';
import {
  type AccessLogType,
  type HTTPAccessLogEntry,
  AccessLogType as Type,
} from '../../gen/envoy/data/accesslog/v3/accesslog.ts';

export interface RefusedAttempt {
  /** Wall clock of Envoy, epoch ms. Push: of the attempt. Check: of the request. */
  readonly startedAt: number;
  /** Of the header; '' = none. Chosen by the app: it alone never tells anything. */
  readonly requestId: string;
  /** '' for a method that Envoy's log has no word for. */
  readonly method: string;
  readonly scheme: string;
  readonly authority: string;
  /** With the query. Compared, never logged. */
  readonly path: string;
  /** Before Envoy's route rewrote it; '' = not rewritten. */
  readonly originalPath: string;
  readonly wwwAuthenticate: string | undefined;
  /** Told behind the headers, when Envoy sends nothing again: only the next request is healed. */
  readonly inTrailers: boolean;
  /** The cluster's own word on whose credential it carries; push only. */
  readonly source: string | undefined;
  /** Likewise, on whose policy. */
  readonly policy: string | undefined;
}

/** Of the attempt door, whose log has every attempt that may be followed by another. */
export interface FailedAttempt extends RefusedAttempt {
  /** refused: by the upstream; failed: for another reason; answered: there was something else to tell. */
  readonly result: 'refused' | 'failed' | 'answered';
  /** Of the header DPoP-Nonce. */
  readonly dpopNonce: string | undefined;
}

/** 'malformed': something that we need is missing. undefined: not a refusal by an upstream. */
export type ParsedAttempt = RefusedAttempt | 'malformed' | undefined;

const methodNames = new Map<number, string>(Object.entries(RequestMethod).map(([name, n]) => [n, name]));

/** Entries of other kinds on the same log (start of a stream, periodic) are no refusals. */
export function parsePushAttempt(entry: HTTPAccessLogEntry): ParsedAttempt {
  if (doorOf(entry) === 'attempt') return undefined;
  return parse(entry, Type.UpstreamEnd);
}

export function parseCheckAttempt(entry: HTTPAccessLogEntry): ParsedAttempt {
  // Our own denials and other filters' answers are no upstream's refusals.
  if (entry.response?.responseCodeDetails !== 'via_upstream') return undefined;
  return parse(entry, Type.DownstreamEnd);
}

/** undefined: another kind of entry, or an attempt of another door's cluster. */
export function parseFailedAttempt(entry: HTTPAccessLogEntry): FailedAttempt | 'malformed' | undefined {
  if (doorOf(entry) !== 'attempt') return undefined;
  const attempt = read(entry, Type.UpstreamEnd);
  if (attempt === undefined || attempt === 'malformed') return attempt;
  return {
    ...attempt,
    result: resultOf(entry.response),
    dpopNonce: entry.response?.responseHeaders.get('dpop-nonce'),
  };
}

/** A reset attempt has no response, or one without a code. */
function resultOf(response: HTTPAccessLogEntry['response']): FailedAttempt['result'] {
  if (response === undefined) return 'failed';
  if (isRefusal(response)) return 'refused';
  const { responseCode = 0, responseHeaders, responseTrailers } = response;
  const status = responseTrailers.get('grpc-status') ?? responseHeaders.get('grpc-status') ?? '0';
  return responseCode >= 200 && responseCode < 400 && status === '0' ? 'answered' : 'failed';
}

/** The cluster's own word; undefined where the log has none, as the check door's. */
function doorOf(entry: HTTPAccessLogEntry): string | undefined {
  return entry.commonProperties?.customTags.get('bearerd.door');
}

function parse(entry: HTTPAccessLogEntry, type: AccessLogType): ParsedAttempt {
  if (!entry.response) return 'malformed';
  const attempt = read(entry, type);
  return isRefusal(entry.response) ? attempt : undefined;
}

function read(entry: HTTPAccessLogEntry, type: AccessLogType): ParsedAttempt {
  const { commonProperties: common, request, response } = entry;
  if (!common || !request || !common.startTime) return 'malformed';
  if (common.accessLogType !== type) return undefined;
  if (request.authority === '' || request.path === '') return 'malformed';
  const { seconds, nanos } = common.startTime;
  const method = methodNames.get(request.requestMethod);
  return {
    startedAt: seconds * 1_000 + nanos / 1e6,
    requestId: request.requestHeaders.get('x-request-id') ?? request.requestId,
    method: method === undefined || method === 'METHOD_UNSPECIFIED' ? '' : method,
    scheme: request.scheme,
    authority: request.authority,
    path: request.path,
    originalPath: request.originalPath,
    wwwAuthenticate: response?.responseHeaders.get('www-authenticate'),
    inTrailers: response?.responseTrailers.get('grpc-status') === '16',
    source: common.customTags.get('bearerd.source'),
    policy: common.customTags.get('bearerd.policy'),
  };
}

/** HTTP 401, or gRPC UNAUTHENTICATED in the headers (trailers-only) or in the trailers of an HTTP 200. */
function isRefusal(response: NonNullable<HTTPAccessLogEntry['response']>): boolean {
  if (response.responseCode === 401) return true;
  if (response.responseCode !== 200) return false;
  const status = response.responseTrailers.get('grpc-status') ?? response.responseHeaders.get('grpc-status');
  return status === '16';
}
