// HTTP to providers: bounded in time and size, no redirects; a private CA, a client certificate and a proxy where configured.
import type { Readable } from 'node:stream';
import { Agent, type Dispatcher, EnvHttpProxyAgent, Pool, request } from 'undici';
import { CredentialError } from '../lib/errors.ts';
import { currentSpan } from '../lib/trace.ts';
import { clockSkewMs } from './clock-skew.ts';
import { decompressed } from './decompress.ts';
import { invalidResponse } from './errors.ts';
import { retryAfterMs } from './retry-after.ts';
import { readTls, type TlsFiles, type TlsMaterial } from './tls.ts';

/** For 3 s: undici looks at its clock twice a second, so that 2.5 s end after 3.0 and 3 s after 3.5 (measured). */
const CONNECT_MS = 2_500;
/** The store ends a whole fetch after 5 s; this is the bound of one call in it. */
const CALL_MS = 5_000;
const MAX_BODY_BYTES = 1 << 20;
/** Of all answers of one provider that are being read. A token answer has a few kilobytes, and 34 may be under way. */
const MAX_READING_BYTES = 8 << 20;
const KEPT_HEADERS = [
  'content-type',
  'date',
  'www-authenticate',
  'cache-control',
  'age',
  'dpop-nonce',
  'etag',
];

export interface ProviderHttp {
  /** In the form that oauth4webapi calls. Rejects with CredentialError on 3xx, 429, 5xx and every fault of transport. */
  fetch(url: string, init: FetchInit): Promise<Response>;
  close(): Promise<void>;
}

export interface FetchInit {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: URLSearchParams | string | Uint8Array | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpDeps extends TlsFiles {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Wall clock, for dates in Retry-After. */
  readonly now: () => number;
  /** How far our wall clock is ahead, milliseconds, by each answer with a date. */
  readonly clockSkewSeen?: (skewMs: number) => void;
  /** Bound of one call, milliseconds. Default 5000. */
  readonly callMs?: number;
}

export function createProviderHttp({
  env,
  now,
  clockSkewSeen,
  callMs = CALL_MS,
  ...files
}: HttpDeps): ProviderHttp {
  const reading = { bytes: 0 };
  let current: { readonly tls: TlsMaterial; readonly dispatcher: Dispatcher } | undefined;

  async function dispatcherNow(): Promise<Dispatcher> {
    const tls = await readTls(files);
    if (current === undefined || !isSame(tls, current.tls)) {
      // Calls under way end on the connections of before.
      void current?.dispatcher.close().catch(() => {});
      current = { tls, dispatcher: createDispatcher(tls, env) };
    }
    return current.dispatcher;
  }

  async function call(url: string, { method, headers, body, signal }: FetchInit): Promise<Response> {
    const dispatcher = await dispatcherNow();
    const sentAt = now();
    const reply = await request(url, {
      method: method as 'GET',
      headers,
      ...(body === undefined || body === null
        ? {}
        : { body: body instanceof Uint8Array ? body : body.toString() }),
      // Of the whole call: undici's own bounds begin anew with each byte that trickles in.
      signal: AbortSignal.any([AbortSignal.timeout(callMs), ...(signal === undefined ? [] : [signal])]),
      dispatcher,
      headersTimeout: callMs,
      bodyTimeout: callMs,
    });
    const { statusCode } = reply;
    if (statusCode === 429 || statusCode >= 500) {
      discard(reply.body);
      const wait = retryAfterMs(one(reply.headers['retry-after']), now());
      throw new CredentialError('source_unavailable', `the provider answered ${statusCode}`, {
        retryable: true,
        ...(wait === undefined ? {} : { retryAfterMs: wait }),
      });
    }
    if (statusCode >= 300 && statusCode < 400 && statusCode !== 304) {
      discard(reply.body);
      throw invalidResponse(
        `the provider answered ${statusCode}: redirects are not followed, name the final address`,
      );
    }
    const bytes = await decompressed(
      await readBody(reply.body, reading),
      one(reply.headers['content-encoding']),
      MAX_BODY_BYTES,
    );
    const kept = new Headers();
    for (const name of KEPT_HEADERS) {
      const value = one(reply.headers[name]);
      if (value !== undefined) kept.set(name, value);
    }
    const skewMs = clockSkewMs(kept, sentAt, now());
    if (skewMs !== undefined) clockSkewSeen?.(skewMs);
    return new Response(bytes.length === 0 ? null : bytes, { status: statusCode, headers: kept });
  }

  return {
    async fetch(url, init) {
      const { method } = init;
      const span = currentSpan()?.child(method, 'client', {
        'http.request.method': method,
        'server.address': new URL(url).hostname,
      });
      if (span === undefined) return call(url, init);
      try {
        const response = await call(url, { ...init, headers: { ...init.headers, ...span.headers } });
        span.end(undefined, { 'http.response.status_code': response.status });
        return response;
      } catch (error) {
        span.end(error instanceof CredentialError ? error.code : 'source_unavailable');
        throw error;
      }
    },
    async close() {
      await current?.dispatcher.destroy();
    },
  };
}

function createDispatcher(material: TlsMaterial, env: HttpDeps['env']): Dispatcher {
  // Said outright, so that NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing.
  const tls = { ...material, rejectUnauthorized: true, timeout: CONNECT_MS };
  const proxy = env['HTTPS_PROXY'] || env['https_proxy'];
  // As many as calls to one endpoint may be under way (source/endpoint/); they close after a moment without use.
  const options = { connect: tls, connections: 34, keepAliveTimeout: 4_000 };
  if (!proxy) return new Agent(options);
  return new EnvHttpProxyAgent({
    ...options,
    // Plain http is for loopback in development only and goes direct.
    httpProxy: '',
    httpsProxy: proxyUrl(proxy),
    noProxy: env['NO_PROXY'] ?? env['no_proxy'] ?? '',
    requestTls: tls,
    // Until there is a tunnel a call does not hear its signal, and undici waits five minutes for the proxy's answer.
    clientFactory: (origin: URL, pool: object) =>
      new Pool(origin, { ...pool, headersTimeout: CONNECT_MS, bodyTimeout: CONNECT_MS }),
  });
}

/** Without a scheme it is http, as for curl. The text may hold a password and is not quoted. */
function proxyUrl(text: string): string {
  const url = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  const message = 'HTTPS_PROXY is no address of an HTTP proxy, such as http://proxy.example.com:3128';
  throw new CredentialError('source_unavailable', message, { retryable: true });
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.ca === b.ca && a.cert === b.cert && a.key === b.key;
}

async function readBody(
  body: AsyncIterable<Buffer> & { destroy(): unknown },
  reading: { bytes: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.length;
      reading.bytes += chunk.length;
      if (size > MAX_BODY_BYTES) {
        throw invalidResponse(`the provider's answer is larger than ${MAX_BODY_BYTES} bytes`);
      }
      if (reading.bytes > MAX_READING_BYTES) {
        throw invalidResponse(
          `the provider's answers at one time are larger than ${MAX_READING_BYTES} bytes`,
        );
      }
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  } finally {
    body.destroy();
    reading.bytes -= size;
  }
}

/** An unread body that is dropped ends as an error of its own, which nobody else would listen to. */
function discard(body: Readable): void {
  body.on('error', () => {});
  body.destroy();
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
