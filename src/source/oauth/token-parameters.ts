// What the configuration asks for in every token request.
import type { TokenParametersConfig } from '../../config/config.ts';

/** The form, for the grant's own parameters to be added. */
export function buildTokenParameters(config: TokenParametersConfig): URLSearchParams {
  const form = new URLSearchParams(config.extraParams);
  if (config.scope.length > 0) form.set('scope', config.scope.join(' '));
  if (config.audience !== undefined) form.set('audience', config.audience);
  for (const uri of config.resource) form.append('resource', uri);
  return form;
}
