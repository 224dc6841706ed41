// Every way to get a credential that the configuration knows: one line each, under its key in the file.
import { apiKeys } from './api-keys.ts';
import { clientCredentials } from './client-credentials.ts';
import { execCommand } from './exec.ts';
import { tokenFile } from './file.ts';
import { httpCall } from './http.ts';
import { jwtBearer } from './jwt-bearer.ts';
import { refreshToken } from './refresh-token.ts';
import { signedJwt } from './signed-jwt.ts';
import { spiffeJwt } from './spiffe-jwt.ts';
import { staticValue } from './static.ts';
import { tokenExchange } from './token-exchange.ts';

export const kinds = {
  client_credentials: clientCredentials,
  jwt_bearer: jwtBearer,
  refresh_token: refreshToken,
  static: staticValue,
  file: tokenFile,
  http: httpCall,
  exec: execCommand,
  api_keys: apiKeys,
  token_exchange: tokenExchange,
  signed_jwt: signedJwt,
  spiffe_jwt: spiffeJwt,
} as const;

export type KindName = keyof typeof kinds;

export const kindNames = Object.keys(kinds) as KindName[];

/** The one kind that an entry of the file states. */
export function kindOf(source: { readonly [K in KindName]?: unknown }): KindName {
  return kindNames.find((name) => source[name] !== undefined)!;
}
