// The one place that knows OpenTelemetry: spans in batches over OTLP/HTTP, and the context of W3C in and out. Loaded only
// where it is configured.
import {
  type Context,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../config/config.ts';
import type { Span, SpanAttributes, Tracer } from '../lib/trace.ts';
import type { Observer } from './observer.ts';

export interface Tracing extends Tracer {
  /** Sends what waits, for a second at most. */
  stop(): Promise<void>;
}

export interface TracingDeps {
  readonly observer: Pick<Observer, 'spansLost'>;
  readonly version: string;
  /** Which sidecar it is. */
  readonly node: string;
}

const FLUSH_MS = 1_000;
const EXPORT_MS = 5_000;
/** Spans that wait; later ones are dropped. */
const MAX_WAITING = 2_048;

const propagator = new W3CTraceContextPropagator();
const KINDS = { server: SpanKind.SERVER, internal: SpanKind.INTERNAL, client: SpanKind.CLIENT };

export function createTracing({ otlpEndpoint, sample }: TracingConfig, deps: TracingDeps): Tracing {
  const { version, node } = deps;
  const exporter = new OTLPTraceExporter({
    url: `${otlpEndpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_MS,
  });
  const processor = new BatchSpanProcessor({
    exporter: counting(exporter, (count) => deps.observer.spansLost(count)),
    scheduledDelayMillis: FLUSH_MS,
    exportTimeoutMillis: EXPORT_MS,
    maxQueueSize: MAX_WAITING,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'bearerd',
      'service.version': version,
      'service.instance.id': node,
    }),
    // Of a request that is traced already, whoever began it has decided.
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sample) }),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('bearerd', version);

  function begin(name: string, kind: keyof typeof KINDS, attributes: SpanAttributes, parent: Context): Span {
    const span = tracer.startSpan(name, { kind: KINDS[kind], attributes }, parent);
    return wrapped(span, trace.setSpan(parent, span));
  }

  function wrapped(span: OtelSpan, context: Context): Span {
    let headers: Record<string, string> | undefined;
    let ended = false;
    return {
      get headers() {
        if (headers === undefined) {
          headers = {};
          propagator.inject(context, headers, {
            set: (into, key, value) => void Object.assign(into, { [key]: value }),
          });
        }
        return headers;
      },
      get ended() {
        return ended;
      },
      child: (name, kind, attributes) => begin(name, kind, attributes, context),
      end(error, attributes) {
        if (ended) return;
        ended = true;
        if (attributes !== undefined) span.setAttributes(attributes);
        if (error !== undefined) {
          span.setAttribute('error.type', error);
          span.setStatus({ code: SpanStatusCode.ERROR });
        }
        span.end();
      },
    };
  }

  return {
    start(name, attributes, header = () => undefined) {
      const parent = propagator.extract(ROOT_CONTEXT, header, {
        get: (carrier, key) => carrier(key),
        keys: () => [],
      });
      return begin(name, 'server', attributes, parent);
    },
    async stop() {
      const late = new Promise<void>((resolve) => setTimeout(resolve, FLUSH_MS).unref());
      // Also when the collector is away: what it lacks then is counted.
      await Promise.race([provider.shutdown().catch(() => {}), late]);
    },
  };
}

/** The library drops what a collector does not take without a word. */
function counting(exporter: SpanExporter, lost: (count: number) => void): SpanExporter {
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        if (result.code !== 0) lost(spans.length);
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
