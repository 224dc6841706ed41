// An OAuth client of one provider, as every grant needs it: it finds the token endpoint, proves itself there and reads the
// answer. What is asked for is the grant's.
import * as oauth from 'oauth4webapi';
import type { OAuthClientConfig } from '../../config/config.ts';
import { watchFile } from '../../lib/watch.ts';
import { createProviderHttp } from '../../provider-http/http.ts';
import { toCredentialError } from '../errors.ts';
import type { SourceDeps } from '../registry.ts';
import { createAuthorizationServer } from './authorization-server.ts';
import { createClientAuthentication } from './client-authentication.ts';
import { processTokenReply, type TokenReply, type TokenType } from './token-reply.ts';

export interface TokenRequest {
  readonly grantType: string;
  /** The form without grant_type and client authentication. */
  readonly parameters: URLSearchParams;
  /** Default: bearer only. */
  readonly tokenTypes?: readonly TokenType[];
}

export interface OAuthClient {
  /** What identifies the provider: for TokenSource.endpoint. */
  readonly endpoint: string;
  /** Rejects with CredentialError only; oauthErrorOf() tells what the provider refused. */
  requestToken(request: TokenRequest, signal: AbortSignal): Promise<TokenReply>;
  /** Calls `changed` when a file of the client's has new content. Returns the way to stop watching. */
  watch(changed: () => void): () => void;
  /** Gives back sockets. */
  close(): Promise<void>;
}

export function createOAuthClient(config: OAuthClientConfig, deps: SourceDeps): OAuthClient {
  const { clock, env } = deps;
  const http = createProviderHttp({ caFile: config.caFile, env, now: () => clock.now() });
  const authorizationServer = createAuthorizationServer(config, http, clock);
  const authentication = createClientAuthentication(config, deps);
  const client: oauth.Client = { client_id: config.clientId };

  async function requestToken(
    { grantType, parameters, tokenTypes = ['bearer'] }: TokenRequest,
    signal: AbortSignal,
  ): Promise<TokenReply> {
    const server = await authorizationServer.metadata(signal);
    const authenticate = await authentication.authenticate(server);
    const sentAt = clock.monotonic();
    const reply = await oauth.genericTokenEndpointRequest(
      server,
      client,
      authenticate,
      grantType,
      parameters,
      authorizationServer.options(signal),
    );
    return processTokenReply(reply, { server, client, tokenTypes, sentAt, clock });
  }

  return {
    endpoint: (config.issuer ?? config.tokenEndpoint)!,
    async requestToken(request, signal) {
      try {
        return await requestToken(request, signal);
      } catch (error) {
        // It may have moved its token endpoint.
        authorizationServer.forget();
        throw toCredentialError(error);
      }
    },
    watch(changed) {
      const stops = authentication.files.map((file) => watchFile(file, clock, changed));
      return () => {
        for (const stop of stops) stop();
      };
    },
    close: () => http.close(),
  };
}
