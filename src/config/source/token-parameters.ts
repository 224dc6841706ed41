// What a token request asks for, whatever the grant: keys to spread into the grant's schema.
import * as z from 'zod';
import { parseExtraParamName, parseResource, parseScope } from '../oauth-values.ts';
import { parsed, textOrList } from '../schema-values.ts';

export interface TokenParametersConfig {
  readonly scope: readonly string[];
  readonly audience: string | undefined;
  /** RFC 8707. */
  readonly resource: readonly string[];
  readonly extraParams: Readonly<Record<string, string>>;
}

export const tokenParameterKeys = {
  scope: parsed(textOrList, parseScope)
    .prefault([])
    .describe('List, or one text with spaces. Default: none.'),
  audience: z.string().min(1).optional().describe('Sent as audience. Default: none.'),
  resource: parsed(textOrList, (value) => (typeof value === 'string' ? [value] : value).map(parseResource))
    .prefault([])
    .describe('Resource indicators, RFC 8707: absolute URIs, one or a list. Default: none.'),
  extra_params: z
    .record(parsed(z.string(), parseExtraParamName), z.string())
    .default({})
    .describe('Further form parameters of the token request, as the provider asks. Default: none.'),
};

const keys = z.object(tokenParameterKeys);

export function toTokenParameters(value: z.output<typeof keys>): TokenParametersConfig {
  return {
    scope: value.scope,
    audience: value.audience,
    resource: value.resource,
    extraParams: value.extra_params,
  };
}
