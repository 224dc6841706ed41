// An API that trusts nobody: mTLS, and a JWT with the right signature, issuer, audience, scope and expiry.
import { readFileSync } from 'node:fs';
import { createServer as createPlainServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { TLSSocket } from 'node:tls';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { endServer } from '../test/support/loopback.ts';
import type { CertificateFiles } from './certificates.ts';

export interface UpstreamOptions {
  /** undefined = plain HTTP, where something else does TLS. */
  readonly tls: { readonly certificate: CertificateFiles; readonly clientCa: string } | undefined;
  readonly jwks: JSONWebKeySet;
  readonly issuer: string;
  readonly audience: string;
  readonly scope: string;
}

export interface Upstream {
  readonly port: number;
  /** Requests that arrived, by answer. */
  readonly accepted: number;
  readonly refused: number;
  /** Requests with an expired token, or with more than one Authorization header. */
  readonly expired: number;
  readonly doubled: number;
  /** Refuses the token that was accepted last, from now on. */
  revoke(): void;
  stop(): Promise<void>;
}

export async function startUpstream(options: UpstreamOptions): Promise<Upstream> {
  const keys = createLocalJWKSet(options.jwks);
  const revoked = new Set<string>();
  let lastAccepted = '';
  const counts = { accepted: 0, refused: 0, expired: 0, doubled: 0 };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const url = request.url ?? '/';
    const values = request.rawHeaders.filter(
      (_, i, all) => i % 2 === 1 && /^authorization$/i.test(all[i - 1]!),
    );
    if (values.length > 1) counts.doubled++;
    // Paths of no policy: what came is shown, nothing is demanded.
    if (url.startsWith('/open')) {
      return send(response, 200, { path: url, authorization: values.length > 0 ? 'present' : 'none' });
    }
    // A login form: its 401 says "wrong password" and nothing about the token.
    if (url.startsWith('/login') || url.startsWith('/always-401')) {
      counts.refused++;
      return send(response, 401, { error: 'wrong password' });
    }
    try {
      const token = /^Bearer ([^ ,]+)$/.exec(values.length === 1 ? values[0]! : '')?.[1] ?? '';
      const { payload } = await jwtVerify(token, keys, {
        issuer: options.issuer,
        audience: options.audience,
        algorithms: ['RS256'],
      });
      if (
        !String(payload['scope'] ?? '')
          .split(' ')
          .includes(options.scope)
      )
        throw new Error('scope');
      if (revoked.has(payload.jti!)) throw new Error('revoked');
      // jose compares whole seconds; a token that lives a few of them must not be let off a part of one.
      if (payload.exp! * 1_000 <= Date.now()) throw Object.assign(new Error(), { code: 'ERR_JWT_EXPIRED' });
      lastAccepted = payload.jti!;
      counts.accepted++;
      send(response, 200, {
        path: url,
        client_certificate: commonNameOf(request),
        token: { client_id: payload['client_id'], audience: payload.aud, scope: payload['scope'] },
      });
    } catch (error) {
      counts.refused++;
      if ((error as { code?: string }).code === 'ERR_JWT_EXPIRED') counts.expired++;
      response.setHeader('www-authenticate', 'Bearer realm="api", error="invalid_token"');
      send(response, 401, { error: 'invalid_token' });
    }
  }

  const listener = (request: IncomingMessage, response: ServerResponse) => void answer(request, response);
  const server =
    options.tls === undefined
      ? createPlainServer(listener)
      : createServer(
          {
            cert: readFileSync(options.tls.certificate.cert),
            key: readFileSync(options.tls.certificate.key),
            ca: readFileSync(options.tls.clientCa),
            requestCert: true,
            rejectUnauthorized: true,
          },
          listener,
        );
  // Node's five seconds end an idle connection just when Envoy uses it again, which is a 503 of the upstream.
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.address() as { port: number }).port,
    get accepted() {
      return counts.accepted;
    },
    get refused() {
      return counts.refused;
    },
    get expired() {
      return counts.expired;
    },
    get doubled() {
      return counts.doubled;
    },
    revoke: () => void revoked.add(lastAccepted),
    stop: () => endServer(server),
  };
}

function commonNameOf({ socket }: IncomingMessage): string | string[] | undefined {
  return 'getPeerCertificate' in socket ? (socket as TLSSocket).getPeerCertificate().subject?.CN : undefined;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify(body)}\n`);
}
