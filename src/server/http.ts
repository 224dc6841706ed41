// Plain HTTP: what kubelet and Prometheus read, and the server of pages that admin.ts shares. Never a token, and nothing that
// changes what is served.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import type { ListenAddress, TcpAddress } from '../lib/address.ts';
import type { Observer } from '../telemetry/observer.ts';
import { acceptedSockets, listenOn } from './listen.ts';
import type { TlsServer } from './tls-server.ts';

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

/** By path: JSON in, JSON out; an answer with `error` becomes 400. Nothing of it changes what is served. */
export type Questions = ReadonlyMap<string, (question: unknown) => Promise<object>>;

export interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Pages = ReadonlyMap<string, () => Page | Promise<Page>>;

export interface PagesServerOptions {
  /** Of the listener, for the observer. */
  readonly name: string;
  readonly address: ListenAddress;
  readonly pages: Pages;
  readonly questions?: Questions;
  /** Asked first: an answer instead of what was asked for, or undefined. */
  readonly admit?: (request: IncomingMessage) => Page | undefined | Promise<Page | undefined>;
  /** TLS on the address, handed each connection that it let in. */
  readonly front?: (serve: (connection: Socket) => void) => Promise<TlsServer>;
  readonly observer: Observer;
}

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
  const pages: readonly (readonly [string, () => Page | Promise<Page>])[] = [
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
  ];
  return createPagesServer({ name: 'health', address, pages: new Map(pages), observer: deps.observer });
}

const jwksPage = (jwks: () => object | undefined) => (): Page => {
  const keys = jwks();
  if (keys === undefined) return { status: 404, body: 'not found; no source signs\n' };
  return { type: 'application/jwk-set+json', body: `${JSON.stringify(keys)}\n` };
};

export function createPagesServer(options: PagesServerOptions): HttpServer {
  const { name, address, front, observer } = options;
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000, maxHeaderSize: 8 << 10 });
  let tls: TlsServer | undefined;
  let listening: Server = server;
  let accepted: { destroy(): void } | undefined;
  server.on('request', (request, response) => {
    answer(options, request).then(
      (page) => write(response, request, page),
      (error: unknown) => {
        observer.unexpected(name, error);
        write(response, request, { status: 500, body: 'internal error\n' });
      },
    );
  });
  let boundTo = '';
  /** Nothing of one that never listened, since the address of another one could not be had. */
  const tell = (state: 'closed'): void => {
    if (boundTo !== '') observer.listenerChanged(name, state, boundTo);
  };
  return {
    async start() {
      tls = await front?.((connection) => void server.emit('connection', connection));
      listening = tls?.server ?? server;
      listening.maxConnections = 256;
      accepted = acceptedSockets(listening);
      boundTo = await listenOn(listening, address);
      listening.on('error', (error) => observer.unexpected(name, error));
      observer.listenerChanged(name, 'listening', boundTo);
      return boundTo;
    },
    stop() {
      tls?.stopWatching();
      return new Promise((resolve) => {
        listening.close(() => {
          tell('closed');
          resolve();
        });
        accepted?.destroy();
      });
    },
  };
}

async function answer(
  { pages, questions, admit }: PagesServerOptions,
  request: IncomingMessage,
): Promise<Page> {
  const instead = await admit?.(request);
  if (instead !== undefined) return instead;
  const path = (request.url ?? '').split('?', 1)[0]!;
  const question = questions?.get(path);
  if (question !== undefined) return answerQuestion(question, request);
  const page = pages.get(path);
  if (!page) return { status: 404, body: `not found; there is ${[...pages.keys()].join(', ')}\n` };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, body: 'only GET\n', headers: { allow: 'GET, HEAD' } };
  return page();
}

const MAX_QUESTION_BYTES = 4 << 20;

async function answerQuestion(
  ask: (question: unknown) => Promise<object>,
  request: IncomingMessage,
): Promise<Page> {
  // A browser names the site whose page asks, on every POST: none has business here, whoever forwarded the socket.
  if (request.headers.origin !== undefined) return { status: 403, body: 'not for browsers\n' };
  if (request.method !== 'POST') return { status: 405, body: 'only POST\n', headers: { allow: 'POST' } };
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

/**
 * For a browser that comes by: nothing from elsewhere, nothing inline, nothing kept, nothing shown inside another site, and
 * no text that becomes markup. No CORS: other sites read nothing.
 */
const GUARDS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const;

function write(response: ServerResponse, request: IncomingMessage, page: Page): void {
  request.resume();
  response.writeHead(page.status ?? 200, {
    'content-type': page.type ?? 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(page.body),
    ...GUARDS,
    ...page.headers,
  });
  response.end(page.body);
}
