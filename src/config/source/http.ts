// sources.NAME.http
import * as z from 'zod';
import { mapTexts, placesOf } from '../../lib/secret-template.ts';
import { parseRequestHeader } from '../header.ts';
import { parseJsonPointer, parseProviderUrl } from '../oauth-values.ts';
import { exactlyOne, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import { sourceKind } from './kind.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';

export interface HttpConfig {
  readonly type: 'http';
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly url: string;
  /** By the names that `${NAME}` in headers and body stand for. */
  readonly secrets: Readonly<Record<string, SecretRef>>;
  /** Lower-case names to templates. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: HttpBody | undefined;
  /** RFC 6901. */
  readonly token: string;
  /** Where the answer tells its lifetime; undefined = by the token itself. */
  readonly end: TokenEnd | undefined;
  readonly caFile: string | undefined;
}

export type HttpBody =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'form'; readonly value: Readonly<Record<string, string>> };

/** `lifetime`: seconds; `expires_at`: RFC 3339, or epoch seconds or milliseconds. RFC 6901 both. */
export interface TokenEnd {
  readonly kind: 'lifetime' | 'expires_at';
  readonly pointer: string;
}

const secretName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: 'expected a name of letters, digits and "_"',
});
const pointer = parsed(z.string(), parseJsonPointer);

const body = z
  .strictObject({
    json: z.unknown().optional().describe('A JSON value; each text in it may hold ${NAME}.'),
    form: z
      .record(z.string(), z.string())
      .optional()
      .describe('Form fields (application/x-www-form-urlencoded); each value may hold ${NAME}.'),
  })
  .check(exactlyOne('json', 'form'))
  .meta(oneOfKeys('json', 'form'))
  .transform(
    ({ json, form }): HttpBody =>
      form === undefined ? { kind: 'json', value: json } : { kind: 'form', value: form },
  );

const schema = z
  .strictObject({
    method: z.enum(['GET', 'POST', 'PUT']).default('POST').describe('Default POST.'),
    url: parsed(z.string(), (text) => parseProviderUrl(text, 'url')).describe(
      'Address of the token call. https. Never a secret: addresses stand in logs of others.',
    ),
    secrets: z
      .record(secretName, secretRef)
      .default({})
      .describe('Secrets by reference; ${NAME} in headers and body stands for one, $${ for ${ itself.'),
    headers: z
      .record(parsed(z.string(), parseRequestHeader), z.string())
      .default({})
      .describe('Headers of the call; each value may hold ${NAME}. Default: accept: application/json.'),
    body: body.optional().describe('Exactly one of json and form. Default: none.'),
    token: pointer
      .prefault('/access_token')
      .describe('Where the token stands in the JSON answer, RFC 6901. Default /access_token.'),
    lifetime: pointer.optional().describe('Where its lifetime in seconds stands, e.g. /expires_in.'),
    expires_at: pointer
      .optional()
      .describe('Where its end stands: RFC 3339, or epoch seconds or milliseconds. Not with lifetime.'),
    ca_file: filePath
      .optional()
      .describe('PEM file of a private certificate authority. Default: the public ones.'),
  })
  .check(({ value, issues }) => {
    const problem = (path: string[], message: string) =>
      issues.push({ code: 'custom', message, path, input: value });
    if (value.lifetime !== undefined && value.expires_at !== undefined) {
      problem(['expires_at'], 'expected at most one of lifetime and expires_at');
    }
    if (value.method === 'GET' && value.body !== undefined) problem(['body'], 'a GET has no body');
    const places = new Set<string>();
    const look = (path: string[], text: string) => {
      for (const name of placesOf(text)) {
        places.add(name);
        if (!Object.hasOwn(value.secrets, name)) problem(path, `no entry of secrets has the name "${name}"`);
      }
      return text;
    };
    for (const [name, text] of Object.entries(value.headers)) look(['headers', name], text);
    mapTexts(value.body?.value, (text) => look(['body'], text));
    for (const name of Object.keys(value.secrets)) {
      if (!places.has(name)) problem(['secrets', name], `no header and no body has a place \${${name}}`);
    }
  })
  .describe('A provider with a token call of its own, e.g. an API key changed for a short-lived token.');

export const httpCall = sourceKind({
  schema,
  toConfig: (call, path): HttpConfig => ({
    type: 'http',
    method: call.method,
    url: call.url,
    secrets: Object.fromEntries(
      Object.entries(call.secrets).map(([name, ref]) => [name, resolveSecretRef(ref, path)]),
    ),
    headers: call.headers,
    body: call.body,
    token: call.token,
    end:
      call.lifetime !== undefined
        ? { kind: 'lifetime', pointer: call.lifetime }
        : call.expires_at !== undefined
          ? { kind: 'expires_at', pointer: call.expires_at }
          : undefined,
    caFile: call.ca_file === undefined ? undefined : path(call.ca_file),
  }),
  renewable: true,
  providerUrls: ['url'],
});
