// The schema below `sources`: one object per way to get a credential. A new way is a new key here and in parse.ts.
import * as z from 'zod';
import {
  parseExtraParamName,
  parseJsonPointer,
  parseProviderUrl,
  parseResource,
  parseScope,
} from './oauth-values.ts';
import { duration, exactlyOne, nameText, oneOfKeys, parsed, textOrList } from './schema-values.ts';

const HOUR_MS = 3_600_000;

const filePath = z.string().min(1);

export const secretRef = z
  .strictObject(
    {
      file: filePath
        .optional()
        .describe('File with the secret; read again when it changes. Relative: to this file.'),
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected the name of an environment variable' })
        .optional()
        .describe('Name of an environment variable with the secret.'),
      inline: z.string().min(1).optional().describe('The secret itself; only with mode: development.'),
    },
    {
      error: ({ code }) =>
        code === 'invalid_type'
          ? 'expected a reference to a secret: { file: /path } or { env: NAME }'
          : undefined,
    },
  )
  .check(exactlyOne('file', 'env', 'inline'))
  .meta(oneOfKeys('file', 'env', 'inline'));

const clientCredentials = z
  .strictObject({
    issuer: parsed(z.string(), (text) => parseProviderUrl(text, 'issuer'))
      .optional()
      .describe('Identity provider whose metadata names the token endpoint (discovery). https.'),
    token_endpoint: parsed(z.string(), (text) => parseProviderUrl(text, 'token_endpoint'))
      .optional()
      .describe('Token endpoint, without discovery. https.'),
    client_id: z.string().min(1),
    client_secret: secretRef.describe('Reference to the secret: { file: /path } or { env: NAME }.'),
    client_auth: z
      .enum(['client_secret_basic', 'client_secret_post'])
      .default('client_secret_basic')
      .describe('How the client proves itself. Default client_secret_basic.'),
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
    ca_file: filePath
      .optional()
      .describe('PEM file of a private certificate authority. Default: the public ones.'),
  })
  .check(exactlyOne('issuer', 'token_endpoint'))
  .meta({
    description: 'OAuth 2.0 client credentials grant. Exactly one of issuer and token_endpoint.',
    ...oneOfKeys('issuer', 'token_endpoint'),
  });

const staticValue = z
  .strictObject({ value: secretRef.describe('Reference to the value: { file: /path } or { env: NAME }.') })
  .describe('A key that does not expire by itself.');

const tokenFile = z
  .strictObject({
    path: filePath.describe(
      'File that somebody else renews; read again when it changes. Relative: to this file.',
    ),
    format: z
      .enum(['raw', 'json'])
      .default('raw')
      .describe('raw: the whole file; json: one value in it. Default raw.'),
    pointer: parsed(z.string(), parseJsonPointer)
      .optional()
      .describe('Where the token stands in JSON, RFC 6901. Default /access_token. Only with format: json.'),
  })
  .check(({ value, issues }) => {
    if (value.pointer === undefined || value.format === 'json') return;
    issues.push({ code: 'custom', message: 'pointer is for format: json', path: ['pointer'], input: value });
  })
  .describe('A token in a file.');

const source = z
  .strictObject({
    required: z
      .boolean()
      .default(false)
      .describe('Readiness waits for the first credential of this source. Default false.'),
    max_lifetime: duration({ minMs: 1_000, maxMs: 24 * HOUR_MS })
      .optional()
      .describe(
        'Upper bound of a credential’s life, e.g. 30m, at most 24h. Default: the provider’s word, at most 24h.',
      ),
    client_credentials: clientCredentials.optional(),
    static: staticValue.optional(),
    file: tokenFile.optional(),
  })
  .check(exactlyOne('client_credentials', 'static', 'file'))
  .meta({
    description: 'One way to get a credential: exactly one of client_credentials, static and file.',
    ...oneOfKeys('client_credentials', 'static', 'file'),
  });

export const sources = z.record(nameText('source'), source);
