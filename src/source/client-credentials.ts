// OAuth 2.0 client credentials grant (RFC 6749 section 4.4), with discovery (RFC 8414, OpenID Connect Discovery).
import * as oauth from 'oauth4webapi';
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { CredentialError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { watchFile } from '../lib/watch.ts';
import { invalidResponse } from '../provider-http/errors.ts';
import { createProviderHttp, type FetchInit } from '../provider-http/http.ts';
import { toCredentialError } from './errors.ts';
import type { SourceDeps } from './registry.ts';
import { lifetimeOf } from './token-lifetime.ts';

type Config = Extract<SourceConfig, { type: 'client_credentials' }>;

/** A provider's metadata rarely changes; a failed token call asks for it anew. */
const METADATA_MS = 3_600_000;

export function createClientCredentialsSource(config: Config, { clock, env }: SourceDeps): TokenSource {
  const http = createProviderHttp({ caFile: config.caFile, env, now: () => clock.now() });
  const secret = createSecretReader(config.clientSecret, env);
  const client: oauth.Client = { client_id: config.clientId };
  // Plain http reaches loopback only, and only in development mode: the configuration refuses it elsewhere.
  const insecure = (config.issuer ?? config.tokenEndpoint)!.startsWith('http:');
  let metadata: { server: oauth.AuthorizationServer; at: number } | undefined;

  const options = (signal: AbortSignal) => ({
    [oauth.customFetch]: (url: string, init: FetchInit) => http.fetch(url, init),
    [oauth.allowInsecureRequests]: insecure,
    signal,
  });

  async function authorizationServer(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    if (config.issuer === undefined) {
      const endpoint = config.tokenEndpoint!;
      return { issuer: new URL(endpoint).origin, token_endpoint: endpoint };
    }
    if (metadata !== undefined && clock.monotonic() - metadata.at < METADATA_MS) return metadata.server;
    const issuer = new URL(config.issuer);
    let reply = await oauth.discoveryRequest(issuer, { ...options(signal), algorithm: 'oidc' });
    // Not every OAuth server is an OpenID provider.
    if (reply.status === 404) {
      reply = await oauth.discoveryRequest(issuer, { ...options(signal), algorithm: 'oauth2' });
    }
    if (reply.status !== 200) {
      throw new CredentialError('source_rejected', `discovery of the issuer answered ${reply.status}`, {
        retryable: true,
      });
    }
    const server = await oauth.processDiscoveryResponse(issuer, reply);
    if (server.token_endpoint === undefined) {
      throw invalidResponse('the issuer names no token_endpoint');
    }
    metadata = { server, at: clock.monotonic() };
    return server;
  }

  async function issue(signal: AbortSignal) {
    const clientSecret = (await secret.read()).reveal();
    const server = await authorizationServer(signal);
    const authenticate =
      config.clientAuth === 'client_secret_post'
        ? oauth.ClientSecretPost(clientSecret)
        : oauth.ClientSecretBasic(clientSecret);
    const sentAt = clock.monotonic();
    const reply = await oauth.clientCredentialsGrantRequest(
      server,
      client,
      authenticate,
      parameters(config),
      options(signal),
    );
    const raw: unknown = await reply
      .clone()
      .json()
      .catch(() => undefined);
    const token = await oauth.processClientCredentialsResponse(server, client, reply);
    if (token.token_type !== 'bearer') {
      throw invalidResponse('the token_type is not Bearer');
    }
    const told = lifetimeOf(
      {
        accessToken: token.access_token,
        expiresIn: (raw as { expires_in?: unknown } | undefined)?.expires_in,
        providerNow: dateOf(reply.headers.get('date')),
      },
      clock.now(),
    );
    // The provider counts from when it answered at the latest, we from when we asked.
    const lifetimeMs = told - (clock.monotonic() - sentAt);
    return { value: new Secret(token.access_token), lifetimeMs };
  }

  return {
    name: config.name,
    type: 'client_credentials',
    endpoint: (config.issuer ?? config.tokenEndpoint)!,
    syntax: 'b64token',
    perSubject: false,
    async issue({ signal }) {
      try {
        return await issue(signal);
      } catch (error) {
        // It may have moved its token endpoint.
        metadata = undefined;
        throw toCredentialError(error);
      }
    },
    watch: (changed) => (secret.file === undefined ? () => {} : watchFile(secret.file, clock, changed)),
    close: () => http.close(),
  };
}

function parameters({ scope, audience, resource, extraParams }: Config): URLSearchParams {
  const form = new URLSearchParams(extraParams);
  if (scope.length > 0) form.set('scope', scope.join(' '));
  if (audience !== undefined) form.set('audience', audience);
  for (const uri of resource) form.append('resource', uri);
  return form;
}

function dateOf(header: string | null): number | undefined {
  const at = header === null ? Number.NaN : Date.parse(header);
  return Number.isNaN(at) ? undefined : at;
}
