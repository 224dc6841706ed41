// Upstreams that take nothing without a proof of the request itself, checked by libraries that are not ours.
import { createHash, type KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createVerifier, httpbis } from 'http-message-signatures';
import { calculateJwkThumbprint, createLocalJWKSet, EmbeddedJWK, type JSONWebKeySet, jwtVerify } from 'jose';

export interface ProvingUpstream {
  answer(request: IncomingMessage, response: ServerResponse): void;
  /** Requests by what became of them: `ok`, or why they were refused. */
  readonly counts: Readonly<Record<string, number>>;
}

function counting(
  check: (request: IncomingMessage) => Promise<Refusal | undefined>,
): ProvingUpstream & { readonly counts: Record<string, number> } {
  const counts: Record<string, number> = {};
  return {
    counts,
    answer(request, response) {
      request.resume();
      void check(request)
        .catch((error: Error): Refusal => ({ why: error.message }))
        .then((refusal) => {
          const why = refusal?.why ?? 'ok';
          counts[why] = (counts[why] ?? 0) + 1;
          if (refusal?.status === 503) response.writeHead(503).end(why);
          else if (refusal === undefined) response.end(why);
          else response.writeHead(401, refusal.headers ?? {}).end(why);
        });
    },
  };
}

interface Refusal {
  readonly why: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface DpopOptions {
  readonly origin: string;
  readonly jwks: JSONWebKeySet;
  readonly issuer: string;
  /** A new nonce after so many requests; the old one is refused from then on. */
  readonly nonceEvery: number;
}

/** RFC 9449: bound token, proof, nonce, and no `jti` twice. `revoke` refuses the tokens known so far. */
export function dpopUpstream({ origin, jwks, issuer, nonceEvery }: DpopOptions) {
  const keys = createLocalJWKSet(jwks);
  const used = new Set<string>();
  const revoked = new Set<string>();
  let lastToken = '';
  let requests = 0;
  const upstream = counting(async (request) => {
    const nonce = `nonce-${Math.floor(requests++ / nonceEvery)}`;
    const token = /^DPoP (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined) return { why: 'no token with the scheme DPoP' };
    const proof = request.headers['dpop'];
    if (typeof proof !== 'string') return { why: 'no proof' };
    const { payload: proven, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256'],
      maxTokenAge: 30,
      clockTolerance: 5,
    });
    if (proven['nonce'] !== nonce) {
      return {
        why: 'use_dpop_nonce',
        headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': nonce },
      };
    }
    if (used.has(proven.jti!)) return { why: 'jti twice' };
    used.add(proven.jti!);
    if (proven['htm'] !== request.method) return { why: 'htm' };
    if (proven['htu'] !== origin + request.url!.split('?')[0]!) return { why: `htu ${proven['htu']}` };
    if (proven['ath'] !== createHash('sha256').update(token).digest('base64url')) return { why: 'ath' };
    const { payload } = await jwtVerify(token, keys, { issuer });
    const bound = (payload['cnf'] as { jkt?: string } | undefined)?.jkt;
    if (bound !== (await calculateJwkThumbprint(protectedHeader.jwk!)))
      return { why: 'not bound to the key' };
    if (revoked.has(token)) {
      return { why: 'revoked', headers: { 'www-authenticate': 'DPoP error="invalid_token"' } };
    }
    lastToken = token;
    return undefined;
  });
  return { ...upstream, revoke: () => void revoked.add(lastToken) };
}

export interface SignatureOptions {
  readonly origin: string;
  readonly keys: ReadonlyMap<string, { readonly alg: string; readonly key: KeyObject }>;
  readonly fields: readonly string[];
  /** The first try of every request is answered 503, so that a retry has to be signed anew. */
  readonly failFirst: boolean;
}

/** RFC 9421, and no signature or nonce twice. */
export function signatureUpstream({ origin, keys, fields, failFirst }: SignatureOptions): ProvingUpstream {
  const used = new Set<string>();
  const tried = new Set<string>();
  return counting(async (request) => {
    const headers = request.headers as Record<string, string | string[]>;
    const signature = String(headers['signature']);
    if (used.has(signature)) return { why: 'signature twice' };
    used.add(signature);
    const valid = await httpbis.verifyMessage(
      {
        keyLookup: async ({ keyid, nonce }) => {
          if (used.has(nonce!)) throw new Error('nonce twice');
          used.add(nonce!);
          const found = keys.get(keyid!);
          return found
            ? { id: keyid!, algs: [found.alg], verify: createVerifier(found.key, found.alg) }
            : null;
        },
        requiredFields: [...fields],
        requiredParams: ['created', 'nonce', 'keyid', 'alg'],
        maxAge: 30,
        tolerance: 5,
      },
      { method: request.method!, url: origin + request.url!, headers },
    );
    if (valid !== true) return { why: 'not valid' };
    const id = String(headers['x-request-id']);
    if (failFirst && !tried.has(id)) {
      tried.add(id);
      return { why: 'first', status: 503 };
    }
    return undefined;
  });
}
