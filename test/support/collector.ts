// A collector: takes OTLP over HTTP, and reads what it took by OpenTelemetry's own protobuf messages.
import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { pythonPackage } from '../../tools/parts/python.ts';
import { startUpstream } from './loopback.ts';

export interface ReceivedSpan {
  readonly name: string;
  readonly kind: string;
  /** Hex. */
  readonly traceId: string;
  readonly spanId: string;
  /** '' = none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly failed: boolean;
}

export interface Collector {
  readonly url: string;
  /** As they came. */
  readonly bodies: readonly Buffer[];
  /** Of every body until now. */
  spans(): Promise<readonly ReceivedSpan[]>;
  resource(): Promise<Readonly<Record<string, string>>>;
}

export async function startCollector(t: TestContext): Promise<Collector> {
  const bodies: Buffer[] = [];
  const port = await startUpstream(t, (request, response) => {
    void buffer(request).then((body) => {
      const right =
        request.url === '/v1/traces' && request.headers['content-type'] === 'application/x-protobuf';
      if (right) bodies.push(body);
      response.writeHead(right ? 200 : 400, { 'content-type': 'application/x-protobuf' }).end();
    });
  });
  return {
    url: `http://127.0.0.1:${port}`,
    bodies,
    async spans() {
      const documents = await decoded(bodies);
      return documents.flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans.map(received))),
      );
    },
    async resource() {
      const [first] = await decoded(bodies);
      return textsOf(first!.resourceSpans[0]!.resource.attributes);
    },
  };
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Span {
  readonly name: string;
  readonly kind: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly attributes?: readonly Attribute[];
  readonly status?: { readonly code?: string };
}

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

function received(span: Span): ReceivedSpan {
  const hex = (base64 = '') => Buffer.from(base64, 'base64').toString('hex');
  return {
    name: span.name,
    kind: span.kind,
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentSpanId: hex(span.parentSpanId),
    traceState: span.traceState ?? '',
    attributes: textsOf(span.attributes ?? []),
    failed: span.status?.code === 'STATUS_CODE_ERROR',
  };
}

function textsOf(attributes: readonly Attribute[]): Record<string, string> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, String(Object.values(value)[0])]));
}

async function decoded(bodies: readonly Buffer[]): Promise<readonly ExportRequest[]> {
  const packages = await Promise.all((['opentelemetry-proto', 'protobuf'] as const).map(pythonPackage));
  const env = { ...process.env, PYTHONPATH: packages.join(delimiter) };
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const script = join(import.meta.dirname, 'otlp-decode.py');
  const child = execFile('python3', [script], { env, maxBuffer: 64 << 20 }, (error, stdout) =>
    error === null ? resolve(stdout) : reject(error),
  );
  child.stdin!.end(bodies.map((body) => `${body.toString('hex')}\n`).join(''));
  const text = await promise;
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as ExportRequest);
}
