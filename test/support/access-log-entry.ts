// Access log entries as Envoy sends them for a refused attempt; a test states only what differs.
import { RequestMethod } from '../../src/gen/envoy/config/core/v3/base.ts';
import { AccessLogType, type HTTPAccessLogEntry } from '../../src/gen/envoy/data/accesslog/v3/accesslog.ts';

export interface EntryWish {
  readonly startedAt?: number;
  readonly type?: AccessLogType;
  readonly status?: number;
  readonly method?: RequestMethod;
  readonly authority?: string;
  readonly path?: string;
  readonly originalPath?: string;
  readonly requestId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly trailers?: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly details?: string;
}

export function pushEntry(wish: EntryWish = {}): HTTPAccessLogEntry {
  const startedAt = wish.startedAt ?? 0;
  return {
    commonProperties: {
      startTime: { seconds: Math.floor(startedAt / 1_000), nanos: Math.round((startedAt % 1_000) * 1e6) },
      upstreamCluster: 'orders',
      customTags: new Map(Object.entries(wish.tags ?? { 'bearerd.source': 'orders' })),
      duration: undefined,
      upstreamRequestAttemptCount: 1,
      streamId: '',
      accessLogType: wish.type ?? AccessLogType.UpstreamEnd,
    },
    request: {
      requestMethod: wish.method ?? RequestMethod.GET,
      scheme: 'http',
      authority: wish.authority ?? 'orders.example.com',
      path: wish.path ?? '/v1/orders?user=7',
      requestId: wish.requestId ?? '',
      originalPath: wish.originalPath ?? '',
      requestHeaders: new Map(),
    },
    response: {
      responseCode: wish.status ?? 401,
      responseHeaders: new Map(Object.entries(wish.headers ?? {})),
      responseTrailers: new Map(Object.entries(wish.trailers ?? {})),
      responseCodeDetails: wish.details ?? '',
    },
  };
}

export function checkEntry(wish: EntryWish = {}): HTTPAccessLogEntry {
  return pushEntry({
    type: AccessLogType.DownstreamEnd,
    details: 'via_upstream',
    requestId: 'id-1',
    tags: {},
    ...wish,
  });
}
