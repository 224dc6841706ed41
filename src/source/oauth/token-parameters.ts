// What the configuration asks for in every token request.
import type { TokenParametersConfig } from '../../config/config.ts';

/**
 * Of what was asked for, what the provider did not grant (RFC 6749 section 5.1). Names that stand for others do not come back:
 * offline_access is a refresh token (OpenID Connect Core section 11), Entra's /.default whatever the client has.
 */
export function withheldScope(form: URLSearchParams, granted: string | undefined): readonly string[] {
  if (granted === undefined) return [];
  const told = new Set(granted.split(' '));
  const asked = form.get('scope')?.split(' ') ?? [];
  return asked.filter((one) => !told.has(one) && one !== 'offline_access' && !one.endsWith('/.default'));
}

/** The form, for the grant's own parameters to be added. */
export function buildTokenParameters(config: TokenParametersConfig): URLSearchParams {
  const form = new URLSearchParams(config.extraParams);
  if (config.scope.length > 0) form.set('scope', config.scope.join(' '));
  if (config.audience !== undefined) form.set('audience', config.audience);
  for (const uri of config.resource) form.append('resource', uri);
  return form;
}
