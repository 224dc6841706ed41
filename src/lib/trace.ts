// Which span the work under way belongs to (W3C Trace Context). Who makes spans and sends them is telemetry's part; where
// tracing is off there is no span, and nothing here is called for a warm request.
import { AsyncLocalStorage } from 'node:async_hooks';

/** Names and codes only: nothing of a request, and no secret. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  /** traceparent and tracestate of a call that belongs to it. */
  readonly headers: Readonly<Record<string, string>>;
  readonly ended: boolean;
  child(name: string, kind: 'internal' | 'client', attributes: SpanAttributes): Span;
  /** `error` = the code of what failed. */
  end(error?: string, attributes?: SpanAttributes): void;
}

export interface Tracer {
  /** `header` gives the headers of the request that it belongs to; malformed ones count as none. Default: a new trace. */
  start(name: string, attributes: SpanAttributes, header?: (name: string) => string | undefined): Span;
}

/** Read of requests while tracing is on. */
export const TRACE_HEADERS = ['traceparent', 'tracestate'];

const storage = new AsyncLocalStorage<Span>();

export function within<T>(span: Span | undefined, run: () => T): T {
  return span === undefined ? run() : storage.run(span, run);
}

/** One that has ended is nobody's parent: a renewal in the background is not part of the request that began the first one. */
export function currentSpan(): Span | undefined {
  const span = storage.getStore();
  return span?.ended === false ? span : undefined;
}
