// Plain HTTP: what kubelet, Prometheus and an operator read. Never a token, and nothing that changes what is served.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { ListenAddress, TcpAddress, UnixAddress } from '../lib/address.ts';
import type { Observer } from '../telemetry/observer.ts';
import { listenOn } from './listen.ts';

export interface HttpServer {
  /** Resolves with the bound address. */
  start(): Promise<string>;
  stop(): Promise<void>;
}

export interface HealthDeps {
  /** What readiness waits for, by name; empty = ready. */
  readonly missing: () => readonly string[];
  /** What the start itself waits for; empty = started. */
  readonly starting: () => readonly string[];
  /** What people should know beside it, a line each. Default: nothing. */
  readonly notes?: () => readonly string[];
  /** The text exposition. */
  readonly metrics: () => Promise<string>;
  /** Public keys for those who verify what this process signs; undefined = it signs nothing now. Default: it never does. */
  readonly jwks?: () => object | undefined;
  readonly observer: Observer;
}

export interface AdminDeps {
  /** Printed as JSON. */
  readonly status: () => unknown;
  /** By path: JSON in, JSON out; an answer with `error` becomes 400. Nothing of it changes what is served. */
  readonly questions?: ReadonlyMap<string, (question: unknown) => Promise<object>>;
  readonly observer: Observer;
}

interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
  /** Methods that would have done, for 405. */
  readonly allow?: string;
}

type Pages = ReadonlyMap<string, () => Page | Promise<Page>>;

/**
 * GET /startupz, /livez, /readyz, /metrics, and /.well-known/jwks.json (RFC 7517) where something is signed. Liveness
 * depends on nothing but the process: a provider that is away mends itself.
 */
export function createHealthServer(address: TcpAddress, deps: HealthDeps): HttpServer {
  const unless = (what: string, missing: readonly string[]): Page =>
    missing.length === 0
      ? { body: 'ok\n' }
      : { status: 503, body: `${what}, missing: ${missing.join(', ')}\n` };
  const { jwks } = deps;
  return createPagesServer('health', address, deps.observer, [
    ['/livez', () => ({ body: 'ok\n' })],
    ['/startupz', () => unless('not started', deps.starting())],
    [
      '/readyz',
      () => {
        const { body, ...page } = unless('not ready', deps.missing());
        return { ...page, body: [body, ...(deps.notes?.() ?? []).map((note) => `${note}\n`)].join('') };
      },
    ],
    [
      '/metrics',
      async () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: await deps.metrics() }),
    ],
    ...(jwks === undefined ? [] : [['/.well-known/jwks.json', jwksPage(jwks)] as const]),
  ]);
}

const jwksPage = (jwks: () => object | undefined) => (): Page => {
  const keys = jwks();
  if (keys === undefined) return { status: 404, body: 'not found; no source signs\n' };
  return { type: 'application/jwk-set+json', body: `${JSON.stringify(keys)}\n` };
};

/** GET /status, POST of the questions. The socket's mode decides who may read it; 0600 by default of the configuration. */
export function createAdminServer(address: UnixAddress, deps: AdminDeps): HttpServer {
  return createPagesServer(
    'admin',
    address,
    deps.observer,
    [['/status', () => ({ type: 'application/json', body: `${JSON.stringify(deps.status(), null, 2)}\n` })]],
    deps.questions,
  );
}

function createPagesServer(
  name: string,
  address: ListenAddress,
  observer: Observer,
  entries: readonly (readonly [string, () => Page | Promise<Page>])[],
  questions: NonNullable<AdminDeps['questions']> = new Map(),
): HttpServer {
  const pages: Pages = new Map(entries);
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 8 << 10 });
  server.maxConnections = 256;
  server.on('request', (request, response) => {
    answer(pages, questions, request).then(
      (page) => write(response, request, page),
      (error: unknown) => {
        observer.unexpected(name, error);
        write(response, request, { status: 500, body: 'internal error\n' });
      },
    );
  });
  let boundTo = '';
  return {
    async start() {
      boundTo = await listenOn(server, address);
      server.on('error', (error) => observer.unexpected(name, error));
      observer.listenerChanged(name, 'listening', boundTo);
      return boundTo;
    },
    stop() {
      return new Promise((resolve) => {
        server.close(() => {
          observer.listenerChanged(name, 'closed', boundTo);
          resolve();
        });
        server.closeAllConnections();
      });
    },
  };
}

async function answer(
  pages: Pages,
  questions: NonNullable<AdminDeps['questions']>,
  request: IncomingMessage,
): Promise<Page> {
  const path = (request.url ?? '').split('?', 1)[0]!;
  const question = questions.get(path);
  if (question !== undefined) return answerQuestion(question, request);
  const page = pages.get(path);
  if (!page) return { status: 404, body: `not found; there is ${[...pages.keys()].join(', ')}\n` };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, body: 'only GET\n', allow: 'GET, HEAD' };
  return page();
}

const MAX_QUESTION_BYTES = 4 << 20;

async function answerQuestion(
  ask: (question: unknown) => Promise<object>,
  request: IncomingMessage,
): Promise<Page> {
  if (request.method !== 'POST') return { status: 405, body: 'only POST\n', allow: 'POST' };
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_QUESTION_BYTES) return { status: 413, body: `at most ${MAX_QUESTION_BYTES} bytes\n` };
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return { status: 400, type: 'application/json', body: '{"error":"the body is no JSON"}\n' };
  }
  const found = await ask(value);
  return {
    status: 'error' in found ? 400 : 200,
    type: 'application/json',
    body: `${JSON.stringify(found)}\n`,
  };
}

function write(response: ServerResponse, request: IncomingMessage, page: Page): void {
  request.resume();
  response.writeHead(page.status ?? 200, {
    'content-type': page.type ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
    ...(page.allow === undefined ? {} : { allow: page.allow }),
  });
  response.end(page.body);
}
