// An OAuth client of one provider, as every grant needs it: it finds the token endpoint, proves itself there and reads the
// answer. What is asked for is the grant's.
import * as oauth from 'oauth4webapi';
import type { OAuthClientConfig } from '../../config/config.ts';
import { CredentialError } from '../../lib/errors.ts';
import { watchFiles } from '../../lib/watch.ts';
import { createProviderHttp } from '../../provider-http/http.ts';
import { oauthErrorOf, toCredentialError } from '../errors.ts';
import type { SourceDeps } from '../registry.ts';
import { createReplyAge } from '../reply-age.ts';
import { createAuthorizationServer } from './authorization-server.ts';
import { createClientAuthentication } from './client-authentication/client-authentication.ts';
import { createProofOfPossession } from './proof-of-possession.ts';
import { withheldScope } from './token-parameters.ts';
import { processTokenReply, type TokenReply, type TokenType } from './token-reply.ts';

export interface TokenRequest {
  readonly grantType: string;
  /** The form without grant_type and client authentication; a function where it depends on the provider's metadata. */
  readonly parameters: URLSearchParams | ((server: oauth.AuthorizationServer) => Promise<URLSearchParams>);
  /** Default: bearer only. */
  readonly tokenTypes?: readonly TokenType[];
}

export interface OAuthClient {
  /** What identifies the provider: for TokenSource.endpoint. */
  readonly endpoint: string;
  /** Rejects with CredentialError only; oauthErrorOf() tells what the provider refused. */
  requestToken(request: TokenRequest, signal: AbortSignal): Promise<TokenReply>;
  /** Rejects with CredentialError only. */
  metadata(signal: AbortSignal): Promise<oauth.AuthorizationServer>;
  /** RFC 8628 section 3.1. `endpoint`: instead of the metadata's. Rejects with CredentialError only. */
  requestDeviceAuthorization(
    parameters: URLSearchParams,
    endpoint: string | undefined,
    signal: AbortSignal,
  ): Promise<oauth.DeviceAuthorizationResponse>;
  /** Calls `changed` when a file of the client's has new content. Returns the way to stop watching. */
  watch(changed: () => void): () => void;
  /** Gives back sockets. */
  close(): Promise<void>;
}

export function createOAuthClient(
  config: OAuthClientConfig & { readonly name: string },
  deps: SourceDeps,
  { callMs }: { readonly callMs?: number } = {},
): OAuthClient {
  const { clock, env, observer } = deps;
  const address = (config.issuer ?? config.tokenEndpoint)!;
  const { caFile, clientCertificate } = config;
  const clockSkewSeen = (skewMs: number) => observer.clockSkewSeen(address, skewMs);
  const http = createProviderHttp({
    caFile,
    clientCertificate,
    env,
    now: () => clock.now(),
    clockSkewSeen,
    ...(callMs === undefined ? {} : { callMs }),
  });
  const authorizationServer = createAuthorizationServer(config, http, clock);
  const authentication = createClientAuthentication(config, deps);
  const client: oauth.Client = {
    client_id: config.clientId,
    // RFC 8705 section 5: endpoints that ask for a certificate may have addresses of their own.
    use_mtls_endpoint_aliases: clientCertificate !== undefined,
  };
  const age = createReplyAge(clock);
  /** Of the last answer; undefined = there was none. */
  let withheld: string | undefined;
  const proof = config.dpop ? createProofOfPossession(client) : undefined;

  async function askOnce(
    request: TokenRequest,
    signal: AbortSignal,
    proves: (sent: oauth.ClientAuth) => void,
  ): Promise<TokenReply> {
    const { grantType, parameters, tokenTypes = ['bearer'] } = request;
    const server = await authorizationServer.metadata(signal);
    const authenticate = await authentication.authenticate(server, signal);
    proves(authenticate);
    const form = typeof parameters === 'function' ? await parameters(server) : parameters;
    const sentAt = clock.monotonic();
    const reply = await oauth.genericTokenEndpointRequest(server, client, authenticate, grantType, form, {
      ...authorizationServer.options(signal),
      ...(proof === undefined ? {} : { DPoP: proof.handle }),
    });
    const processed = await processTokenReply(reply, {
      server,
      client,
      tokenTypes: tokenTypes.map((type) => (type === 'bearer' && proof !== undefined ? 'dpop' : type)),
      sentAt,
      clock,
      age,
      clockSkewSeen,
      certificate: clientCertificate !== undefined,
      proofKey: proof?.key,
    });
    const scope = withheldScope(form, processed.scope);
    if (scope.join(' ') !== withheld) {
      withheld = scope.join(' ');
      observer.scopeWithheld(config.name, scope);
    }
    return processed;
  }

  async function ask(request: TokenRequest, signal: AbortSignal): Promise<TokenReply> {
    let nonceTried = false;
    let otherTried = false;
    for (;;) {
      let sent: oauth.ClientAuth | undefined;
      try {
        return await askOnce(request, signal, (proof) => (sent = proof));
      } catch (error) {
        // RFC 9449 section 8: the refusal brought the nonce, which the proof of the next call carries.
        if (proof !== undefined && !nonceTried && oauth.isDPoPNonceError(error)) {
          nonceTried = true;
        } else if (!otherTried && isOfClient(error) && authentication.refused?.(sent)) {
          otherTried = true;
        } else {
          throw error;
        }
      }
    }
  }

  async function requestDeviceAuthorization(
    parameters: URLSearchParams,
    endpoint: string | undefined,
    signal: AbortSignal,
  ): Promise<oauth.DeviceAuthorizationResponse> {
    const known = await authorizationServer.metadata(signal);
    const server = endpoint === undefined ? known : { ...known, device_authorization_endpoint: endpoint };
    const reply = await oauth.deviceAuthorizationRequest(
      server,
      client,
      await authentication.authenticate(server, signal),
      parameters,
      authorizationServer.options(signal),
    );
    return oauth.processDeviceAuthorizationResponse(server, client, reply);
  }

  /** `call` rejects with CredentialError only. */
  async function converted<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      const known = toCredentialError(error, isOfClient(error) ? authentication.oddity?.() : undefined);
      // It may have moved its endpoints; not where an answer in OAuth's words came from there.
      if (oauthErrorOf(known) === undefined) authorizationServer.forget();
      throw known;
    }
  }

  return {
    endpoint: address,
    requestToken: (request, signal) => converted(ask(request, signal)),
    metadata: (signal) => converted(authorizationServer.metadata(signal)),
    requestDeviceAuthorization: (parameters, endpoint, signal) =>
      converted(requestDeviceAuthorization(parameters, endpoint, signal)),
    watch: (changed) =>
      watchFiles(
        [...authentication.files, caFile, clientCertificate?.certificate, clientCertificate?.privateKey],
        clock,
        changed,
      ),
    close: () => http.close(),
  };
}

/** The client's own proof was not taken, or is not there. */
function isOfClient(error: unknown): boolean {
  if (error instanceof CredentialError) return error.code === 'secret_unreadable';
  // Keycloak answers a wrong secret with 401 and unauthorized_client.
  if (error instanceof oauth.ResponseBodyError) {
    return error.error === 'invalid_client' || error.status === 401;
  }
  return error instanceof oauth.WWWAuthenticateChallengeError && error.status === 401;
}
