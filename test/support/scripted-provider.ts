// A token endpoint over TLS that answers as a test tells it to, with real signed tokens, and remembers what it was asked
// and what it gave. For faults that no real provider can be made to have.
import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { Authority, CertificateFiles } from '../../demo/certificates.ts';
import type { IdentityProvider, IdentityProviderOptions } from '../../demo/identity-provider.ts';
import { endServer } from './loopback.ts';
import { freePort } from './ports.ts';

/** Answers in place of the provider; `answer` makes what it would have answered. */
export type Fault = (response: ServerResponse, answer: () => Promise<TokenAnswer>) => void | Promise<void>;

export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  readonly expires_in: number;
}

export interface Issued {
  /** Epoch ms. */
  readonly at: number;
  readonly lifetimeMs: number;
}

export interface ScriptedProvider extends IdentityProvider {
  readonly port: number;
  fault: Fault | undefined;
  /** Of tokens from now on; may be a part of a second. */
  lifetimeSeconds: number;
  /** Only this one is known, until it is changed. */
  clientSecret: string;
  /** When each call came, epoch ms. */
  readonly calls: readonly number[];
  /** Tokens given without a fault. */
  readonly issued: readonly Issued[];
  /** Tokens given since `from` (epoch ms) did not arrive: the network ate them. */
  lostSince(from: number): void;
  /** The same port at another address of loopback, e.g. 127.0.0.2. */
  moveTo(address: string): Promise<void>;
  /** Serves with these from now on; connections end. */
  serveWith(certificate: CertificateFiles): void;
}

export interface ScriptedProviderOptions {
  /** What bearerd is told instead of the provider's own port, for a way through a faulty network. */
  readonly way?: (port: number) => Promise<number>;
  /** Name in its address and certificate. Default localhost. */
  readonly host?: string;
}

export async function startScriptedProvider(
  { clientId, clientSecret, audience, scope, lifetimeSeconds = 600 }: IdentityProviderOptions,
  authority: Authority,
  { way = async (port) => port, host = 'localhost' }: ScriptedProviderOptions = {},
): Promise<ScriptedProvider> {
  const { privateKey, publicKey } = await generateKeyPair('RS256');
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'scripted', use: 'sig', alg: 'RS256' }] };
  const calls: number[] = [];
  const issued: Issued[] = [];
  let count = 0;
  let server: Server | undefined;
  let address = '127.0.0.1';
  let tls = read(await authority.issue(host, 'server'));

  async function listen(port: number): Promise<number> {
    const next = createServer(tls, (request, response) => void receive(request, response));
    await new Promise<void>((resolve, reject) => {
      next.once('error', reject);
      next.listen(port, address, resolve);
    });
    server = next;
    return (next.address() as { port: number }).port;
  }

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    calls.push(Date.now());
    request.resume();
    const { fault } = provider;
    if (fault) return fault(response, answer);
    const expected = `Basic ${Buffer.from(`${encode(clientId)}:${encode(provider.clientSecret)}`).toString('base64')}`;
    if (request.headers.authorization !== expected) {
      return sendJson(response, 401, { error: 'invalid_client' });
    }
    const { delayMs } = provider;
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    issued.push({ at: Date.now(), lifetimeMs: provider.lifetimeSeconds * 1_000 });
    sendJson(response, 200, await answer());
  }

  async function answer(): Promise<TokenAnswer> {
    const at = Date.now();
    const { lifetimeSeconds } = provider;
    const token = await new SignJWT({ client_id: clientId, scope })
      .setProtectedHeader({ alg: 'RS256', kid: 'scripted' })
      .setIssuer(provider.issuer)
      .setAudience(audience)
      .setJti(String(++count))
      .setIssuedAt(at / 1_000)
      .setExpirationTime(at / 1_000 + lifetimeSeconds)
      .sign(privateKey);
    return { access_token: token, token_type: 'Bearer', expires_in: lifetimeSeconds };
  }

  const port = await listen(await freePort());
  const issuer = `https://${host}:${await way(port)}`;
  const provider: ScriptedProvider = {
    issuer,
    place: `token_endpoint: ${issuer}/token\n      ca_file: ${authority.ca}`,
    port,
    jwks,
    calls,
    issued,
    fault: undefined,
    lifetimeSeconds,
    clientSecret,
    delayMs: 0,
    get tokenCalls() {
      return calls.length;
    },
    lostSince(from) {
      while ((issued.at(-1)?.at ?? 0) >= from) issued.pop();
    },
    serveWith(certificate) {
      tls = read(certificate);
      server?.setSecureContext(tls);
      server?.closeAllConnections();
    },
    async moveTo(next) {
      await provider.stop();
      address = next;
      await provider.start();
    },
    async stop() {
      const closing = server;
      server = undefined;
      if (!closing) return;
      await endServer(closing);
    },
    async start() {
      if (!server) await listen(port);
    },
  };
  return provider;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function read({ cert, key }: CertificateFiles): { cert: string; key: string } {
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

/** RFC 6749 section 2.3.1: form encoding before Basic. */
function encode(text: string): string {
  return new URLSearchParams({ a: text }).toString().slice(2);
}
