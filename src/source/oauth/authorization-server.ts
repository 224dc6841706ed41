// The provider's metadata: by discovery (OpenID Connect Discovery, RFC 8414) and kept for an hour, or only its token
// endpoint as configured.
import * as oauth from 'oauth4webapi';
import type { Clock } from '../../lib/clock.ts';
import { CredentialError } from '../../lib/errors.ts';
import { invalidResponse } from '../../provider-http/errors.ts';
import type { FetchInit, ProviderHttp } from '../../provider-http/http.ts';

/** A provider's metadata rarely changes; a failed token call asks for it anew. */
const METADATA_MS = 3_600_000;

export interface AuthorizationServer {
  /** Rejects with what the HTTP or oauth4webapi threw. */
  metadata(signal: AbortSignal): Promise<oauth.AuthorizationServer>;
  /** The next call discovers anew. */
  forget(): void;
  /** For oauth4webapi's calls of this provider. */
  options(signal: AbortSignal): {
    [oauth.customFetch]: (url: string, init: FetchInit) => Promise<Response>;
    [oauth.allowInsecureRequests]: boolean;
    signal: AbortSignal;
  };
}

export interface AuthorizationServerPlace {
  /** Exactly one of them. */
  readonly issuer: string | undefined;
  readonly tokenEndpoint: string | undefined;
}

export function createAuthorizationServer(
  { issuer, tokenEndpoint }: AuthorizationServerPlace,
  http: ProviderHttp,
  clock: Clock,
): AuthorizationServer {
  // Plain http reaches loopback only, and only in development mode: the configuration refuses it elsewhere.
  const insecure = (issuer ?? tokenEndpoint)!.startsWith('http:');
  let known: { server: oauth.AuthorizationServer; at: number } | undefined;

  const options: AuthorizationServer['options'] = (signal) => ({
    [oauth.customFetch]: (url, init) => http.fetch(url, init),
    [oauth.allowInsecureRequests]: insecure,
    signal,
  });

  async function discovered(address: URL, signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    let reply = await oauth.discoveryRequest(address, { ...options(signal), algorithm: 'oidc' });
    // Not every OAuth server is an OpenID provider.
    if (reply.status === 404) {
      reply = await oauth.discoveryRequest(address, { ...options(signal), algorithm: 'oauth2' });
    }
    if (reply.status !== 200) {
      const message = `no metadata at ${metadataUrl(address)} (${reply.status}): is the issuer right? token_endpoint does without them`;
      throw new CredentialError('source_rejected', message, { retryable: true });
    }
    const server = await processed(address, reply);
    if (server.token_endpoint === undefined) throw invalidResponse('the issuer names no token_endpoint');
    return server;
  }

  async function processed(address: URL, reply: Response): Promise<oauth.AuthorizationServer> {
    try {
      return await oauth.processDiscoveryResponse(address, reply);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === oauth.JSON_ATTRIBUTE_COMPARISON) {
        const message = `the metadata at ${metadataUrl(address)} name another issuer: ours is to be theirs byte for byte, also a slash at its end`;
        throw invalidResponse(message, error);
      }
      throw invalidResponse(
        `what is at ${metadataUrl(address)} is no metadata of an issuer (${code})`,
        error,
      );
    }
  }

  return {
    options,
    async metadata(signal) {
      if (issuer === undefined) {
        return { issuer: new URL(tokenEndpoint!).origin, token_endpoint: tokenEndpoint! };
      }
      if (known !== undefined && clock.monotonic() - known.at < METADATA_MS) return known.server;
      const server = await discovered(new URL(issuer), signal);
      known = { server, at: clock.monotonic() };
      return server;
    },
    forget() {
      known = undefined;
    },
  };
}

/** OpenID Connect Discovery 1.0, section 4. An issuer has neither user nor query, so it may be shown. */
function metadataUrl({ href }: URL): string {
  return `${href.replace(/\/$/, '')}/.well-known/openid-configuration`;
}
