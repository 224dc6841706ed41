// What an operator reads: the status page and GET /status, on the admin socket, whose mode decides who may, and on a port of
// its own, where a token or a client certificate does. The port only reads; the socket also answers questions.
import { createHash, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TcpAddress, UnixAddress } from '../lib/address.ts';
import type { Clock } from '../lib/clock.ts';
import { escaped } from '../lib/printable.ts';
import type { SecretReader } from '../lib/secret-ref.ts';
import type { Observer } from '../telemetry/observer.ts';
import { createPagesServer, type HttpServer, type Page, type Questions } from './http.ts';
import { createTlsServer, type TlsFiles } from './tls-server.ts';

export interface AdminDeps {
  /** Printed as JSON. */
  readonly status: () => unknown;
  readonly questions?: Questions;
  readonly observer: Observer;
}

/** GET / (the page), /status, POST of the questions. */
export function createAdminServer(address: UnixAddress, deps: AdminDeps): HttpServer {
  return createPagesServer({
    ...{ name: 'admin', address, observer: deps.observer, pages: statusPages(deps.status) },
    questions: deps.questions ?? new Map(),
    // A forwarded socket (ssh -L) is a port of somebody's own machine, and their browser visits other sites too.
    admit: (request) => foreignHost(request, (name) => name !== '' && !name.includes('.')),
  });
}

export interface StatusServerOptions {
  readonly address: TcpAddress;
  /** Names by which it is reached, beside localhost and addresses. */
  readonly hosts: readonly string[];
  /** undefined = a client certificate is enough. */
  readonly token: SecretReader | undefined;
  /** undefined = plain, on loopback. */
  readonly tls: TlsFiles | undefined;
  readonly status: () => unknown;
  readonly observer: Observer;
  readonly clock: Clock;
}

const NAME = 'status';

/** GET / and /status for those who have the token, the certificate, or both where both are configured. */
export function createStatusServer(options: StatusServerOptions): HttpServer {
  const { address, hosts, token, tls, observer, clock } = options;
  const known = new Set(['localhost', ...hosts]);
  return createPagesServer({
    ...{ name: NAME, address, observer, pages: statusPages(options.status) },
    admit: async (request) =>
      foreignHost(request, (name) => known.has(name)) ??
      (token && (await unauthorized(request, token, observer))),
    ...(tls && {
      front: (serve) =>
        createTlsServer({ files: tls, name: NAME, observer, clock, protocol: 'http/1.1' }, serve),
    }),
  });
}

/** Another site may have its own name point here (DNS rebinding): then its pages would be ours to the browser. */
function foreignHost(
  { headers: { host = '' } }: IncomingMessage,
  isKnown: (name: string) => boolean,
): Page | undefined {
  const name = (/^\[([^\]]*)\](:\d+)?$/.exec(host)?.[1] ?? host.replace(/:\d+$/, '')).toLowerCase();
  if (isIP(name) !== 0 || isKnown(name)) return undefined;
  return { status: 421, body: 'this host is not served here\n' };
}

const CHALLENGE = { 'www-authenticate': 'Basic realm="bearerd", charset="UTF-8"' };

/** The token as RFC 6750 has it, or, for browsers, as the password of Basic (RFC 7617) with any user. */
async function unauthorized(
  request: IncomingMessage,
  token: SecretReader,
  observer: Observer,
): Promise<Page | undefined> {
  const given = givenToken(request.headers.authorization);
  if (given === undefined) return { status: 401, body: 'the token is missing\n', headers: CHALLENGE };
  let expected: string;
  try {
    expected = (await token.read()).reveal();
  } catch {
    observer.peerFault(NAME, 'token_unreadable');
    return { status: 503, body: 'the token cannot be read\n' };
  }
  if (expected.length < MIN_TOKEN_LENGTH) {
    observer.peerFault(NAME, 'token_too_short');
    return { status: 503, body: `the token has fewer than ${MIN_TOKEN_LENGTH} characters\n` };
  }
  if (timingSafeEqual(digest(given), digest(expected))) return undefined;
  observer.peerFault(NAME, 'wrong_token');
  return { status: 401, body: 'this is not the token\n', headers: CHALLENGE };
}

/** Nobody guesses one of these, however fast: no count of attempts that would lock out the operator. */
const MIN_TOKEN_LENGTH = 16;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function givenToken(authorization: string | undefined): string | undefined {
  const [, scheme, value] = /^(bearer|basic) +(\S+) *$/i.exec(authorization ?? '') ?? [];
  if (value === undefined) return undefined;
  if (scheme!.toLowerCase() === 'bearer') return value;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  return pair.includes(':') ? pair.slice(pair.indexOf(':') + 1) : undefined;
}

const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
} as const;

const ASSETS = ['page.css', 'page.js', 'dom.js', 'plots.js', 'tables.js', 'words.js', 'icon.svg'] as const;

/** Beside the bundle in dist/, beside this folder in src/. */
const folder = ['./status-page/', '../status-page/']
  .map((place) => new URL(place, import.meta.url))
  .find((place) => existsSync(place));

function statusPages(status: () => unknown): ReadonlyMap<string, () => Page> {
  return new Map<string, () => Page>([
    ['/', () => asset('index.html')],
    [
      '/status',
      () => ({ type: 'application/json', body: `${escaped(JSON.stringify(status(), null, 2))}\n` }),
    ],
    ...ASSETS.map((name) => [`/${name}`, () => asset(name)] as const),
  ]);
}

const read = new Map<string, Page>();

/** Read once, when somebody looks: most processes are never looked at. */
function asset(name: string): Page {
  const known = read.get(name);
  if (known !== undefined) return known;
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1) as keyof typeof TYPES];
  const page = { type, body: readFileSync(new URL(name, folder), 'utf8') };
  read.set(name, page);
  return page;
}
