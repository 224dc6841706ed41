// The one credential of an incoming request: exactly one Authorization value, or one API key, never both.

export type Presented =
  | { readonly kind: 'token'; readonly scheme: 'Bearer' | 'DPoP'; readonly value: string }
  | { readonly kind: 'api_key'; readonly value: string }
  | 'no_credential'
  | 'credential_form';

// RFC 6750 section 2.1: one space, b64token. A comma is never in it, so two values that Envoy joined are none.
const AUTHORIZATION = /^(bearer|dpop) ([A-Za-z0-9\-._~+/]+=*)$/i;

export function presentedCredential(
  authorization: string | undefined,
  authorizations: number,
  apiKey: string | undefined,
  apiKeys: number,
): Presented {
  if (authorizations > 1 || apiKeys > 1) return 'credential_form';
  if (authorization !== undefined && apiKey !== undefined) return 'credential_form';
  if (apiKey !== undefined) return apiKey === '' ? 'credential_form' : { kind: 'api_key', value: apiKey };
  if (authorization === undefined) return 'no_credential';
  const match = AUTHORIZATION.exec(authorization);
  if (match === null) return 'credential_form';
  return { kind: 'token', scheme: match[1]!.length === 4 ? 'DPoP' : 'Bearer', value: match[2]! };
}
