// The schema of `outbound[].inject`: where a credential goes on the request.
import * as z from 'zod';
import { defaultPrefix, parseInjectedHeader, parsePrefix } from './header.ts';
import { refuse } from './invalid.ts';
import { parseResource, parseScope } from './oauth-values.ts';
import { parsed, textOrList } from './schema-values.ts';
import { claims } from './source/signed-jwt.ts';

/** At least one of headers and query. */
export interface InjectConfig {
  readonly source: string;
  readonly headers: readonly HeaderInjection[];
  /** Name of a query parameter. */
  readonly query: string | undefined;
}

/** What takes the place of the app's own header. */
export interface HeaderInjection {
  /** Lower case. */
  readonly name: string;
  /** Put before the credential, or before its Basic encoding, verbatim. */
  readonly prefix: string;
  /** RFC 7617: base64 of `username:credential`; without a username the credential is both. */
  readonly basic: { readonly username: string | undefined } | undefined;
}

/** What this policy asks its source for in place of what the source states. */
export interface AskedParameters {
  readonly audience: string | undefined;
  readonly scope: readonly string[] | undefined;
  readonly resource: readonly string[] | undefined;
  /** Beside the source's own; those of the same name take their place. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

const headerName = parsed(z.string(), parseInjectedHeader);
const prefix = parsed(z.string(), parsePrefix);

const parseUsername = (text: string) =>
  /^[\x20-\x39\x3b-\x7e]{1,256}$/.test(text)
    ? text
    : refuse(
        'a username has at most 256 visible ASCII characters and spaces, and no colon (RFC 7617 section 2)',
      );

const parseParameter = (text: string) =>
  /^[A-Za-z0-9._~-]+$/.test(text)
    ? text
    : refuse(`expected the name of a query parameter: letters, digits, ".", "_", "~" and "-", got "${text}"`);

export const inject = z
  .strictObject({
    source: z.string().describe('Name of an entry of sources.'),
    header: headerName
      .optional()
      .describe(
        'The header that carries the credential; takes the place of the app’s own. Default authorization.',
      ),
    prefix: prefix
      .optional()
      .describe(
        'Put before the credential, verbatim. Default "Bearer " for the header authorization, else "".',
      ),
    basic: z
      .strictObject({
        username: parsed(z.string(), parseUsername)
          .optional()
          .describe('The credential is the password. Default: the credential is "user:password".'),
      })
      .optional()
      .describe('Basic instead of a prefix (RFC 7617).'),
    headers: z
      .array(
        z.strictObject({
          name: headerName,
          prefix: prefix.optional().describe('Default "Bearer " for the header authorization, else "".'),
        }),
      )
      .min(1)
      .optional()
      .describe('Several headers with the same credential, instead of header.'),
    query: parsed(z.string(), parseParameter)
      .optional()
      .describe(
        'A query parameter with the credential; takes the place of the app’s own. Check door only; it stands in access logs.',
      ),
    audience: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Instead of the source’s own, for this policy (client_credentials, jwt_bearer, token_exchange, signed_jwt, spiffe_jwt).',
      ),
    scope: parsed(textOrList, parseScope).optional().describe('As audience; not spiffe_jwt.'),
    resource: parsed(textOrList, (value) => (typeof value === 'string' ? [value] : value).map(parseResource))
      .optional()
      .describe('As audience, where the source calls a token endpoint (RFC 8707).'),
    claims: claims
      .optional()
      .describe('Claims beside those of a signed_jwt source, or in their place, for this policy.'),
  })
  .check(({ value, issues }) => {
    const { header, prefix, basic, headers } = value;
    const issue = (key: string, message: string) =>
      issues.push({ code: 'custom', message, path: [key], input: value });
    for (const key of ['header', 'prefix', 'basic'] as const) {
      if (headers !== undefined && value[key] !== undefined) issue(key, `${key} does not go with headers`);
    }
    if (basic !== undefined && prefix !== undefined) issue('prefix', 'basic has a prefix of its own');
    const names = headers?.map(({ name }) => name) ?? [header ?? 'authorization'];
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) issue('headers', `${twice} stands here twice`);
  })
  .describe('What is put on the request.')
  .transform((value): InjectConfig & { readonly asks: AskedParameters | undefined } => {
    const { source, header, prefix, basic, headers, query, audience, scope, resource, claims } = value;
    const asks = (audience ?? scope ?? resource ?? claims) !== undefined;
    const alone = header === undefined && prefix === undefined && basic === undefined && query !== undefined;
    const stated = headers ?? (alone ? [] : [{ name: header ?? 'authorization', prefix }]);
    return {
      source,
      headers: stated.map(({ name, prefix }) => ({
        name,
        prefix: basic === undefined ? (prefix ?? defaultPrefix(name)) : 'Basic ',
        basic: basic && { username: basic.username },
      })),
      query,
      asks: asks ? { audience, scope, resource, claims } : undefined,
    };
  });
