// Authorization code flow of a native app (RFC 8252) with PKCE S256 (RFC 7636): the person's own browser on this machine.
import * as oauth from 'oauth4webapi';
import { CredentialError } from '../../lib/errors.ts';
import { buildTokenParameters } from '../oauth/token-parameters.ts';
import type { TokenReply } from '../oauth/token-reply.ts';
import type { Login } from './login.ts';
import { awaitRedirect } from './loopback-redirect.ts';

const CALL_MS = 15_000;
const PERSON_MS = 600_000;

export async function authorizationCodeFlow(login: Login): Promise<TokenReply> {
  const { config, client, say, signal, redirectPort } = login;
  const server = await client.metadata(AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]));
  const endpoint = config.authorizationEndpoint ?? server.authorization_endpoint;
  if (endpoint === undefined) {
    throw new CredentialError(
      'source_rejected',
      'no authorization_endpoint: the provider names none, and there is none in the configuration; try --flow device',
      { retryable: false },
    );
  }
  const state = oauth.generateRandomState();
  const verifier = oauth.generateRandomCodeVerifier();
  const challenge = await oauth.calculatePKCECodeChallenge(verifier);

  const { redirectUri, parameters } = await awaitRedirect({
    port: redirectPort,
    state,
    signal: AbortSignal.any([signal, AbortSignal.timeout(PERSON_MS)]),
    listening(redirectUri) {
      const address = new URL(endpoint);
      const asked = { response_type: 'code', client_id: config.clientId, redirect_uri: redirectUri, state };
      const pkce = { code_challenge: challenge, code_challenge_method: 'S256' };
      const wanted = [...buildTokenParameters({ ...config, extraParams: config.authorizationParams })];
      for (const [name, value] of wanted) address.searchParams.append(name, value);
      for (const [name, value] of Object.entries({ ...asked, ...pkce }))
        address.searchParams.set(name, value);
      say(`Open this address in a browser on this machine:\n\n  ${address.href}\n\n`);
    },
  });
  const code = authorizationCode(server, { client_id: config.clientId }, parameters, state);
  return client.requestToken(
    {
      grantType: 'authorization_code',
      parameters: new URLSearchParams({ code, redirect_uri: redirectUri, code_verifier: verifier }),
    },
    AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]),
  );
}

function authorizationCode(
  server: oauth.AuthorizationServer,
  client: oauth.Client,
  parameters: URLSearchParams,
  state: string,
): string {
  try {
    // Also `iss` (RFC 9207), where the provider sends it.
    return oauth.validateAuthResponse(server, client, parameters, state).get('code')!;
  } catch (error) {
    const told = error instanceof oauth.AuthorizationResponseError ? error.error : undefined;
    const code =
      told !== undefined && /^[a-z_]{1,64}$/.test(told) ? told : 'an answer that is not for this login';
    throw new CredentialError('source_rejected', `the provider refused the login: ${code}`, {
      retryable: false,
      cause: error,
    });
  }
}
