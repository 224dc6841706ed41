// The schema of `policy_bundle`: where policies and sources of a whole fleet come from, whose signature counts, and what of
// this machine they may name.
import * as z from 'zod';
import { refuse } from './invalid.ts';
import { parseProviderUrl } from './oauth-values.ts';
import { duration, filePath, nameText, parsed } from './schema-values.ts';

export interface PolicyBundleConfig {
  readonly url: string;
  /** `aud` of the bundle. */
  readonly name: string;
  /** Path of a file with public keys: PEM or a JWK Set. */
  readonly keys: string;
  /** PEM; undefined = the public authorities. */
  readonly caFile: string | undefined;
  /** Milliseconds. Default 60,000. */
  readonly pollMs: number;
}

const allow = z.strictObject({
  files: filePath
    .optional()
    .describe(
      'Directory whose files sources of the bundle may name; relative paths in it are relative to this. Default: none.',
    ),
  env: z
    .array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/))
    .default([])
    .describe('Environment variables that it may name. Default: none.'),
  sources: z
    .array(nameText('source'))
    .default([])
    .describe('Sources of this file that its policies and fallbacks may use. Default: none.'),
});

export const policyBundle = z
  .strictObject({
    url: parsed(z.string(), (text) => {
      parseProviderUrl(text, 'url');
      return text.startsWith('https://') ? text : refuse('expected https://');
    }).describe('Where the signed bundle lies, https only. Redirects are refused.'),
    name: nameText('bundle').describe('aud of the bundle: a bundle for others is refused.'),
    keys: filePath.describe(
      'Public keys of who signs it: PEM, or a JWK Set. Read again for each bundle. Relative: to this file.',
    ),
    ca_file: filePath
      .optional()
      .describe('PEM file of a private certificate authority. Default: the public ones.'),
    poll: duration({ minMs: 1_000, maxMs: 24 * 3_600_000 })
      .prefault('60s')
      .describe('How often it is asked for, each time 20 % more or less, from 1s to 24h. Default 60s.'),
    allow: allow.prefault({}).describe('What of this machine the bundle may name. Default: nothing.'),
  })
  .describe(
    'Policies and sources of a fleet, signed, over HTTPS, behind those of this file (docs/bundle.md). Default: none.',
  );

export function toPolicyBundle(
  file: z.output<typeof policyBundle>,
  path: (relative: string) => string,
): PolicyBundleConfig {
  return {
    url: file.url,
    name: file.name,
    keys: path(file.keys),
    caFile: file.ca_file === undefined ? undefined : path(file.ca_file),
    pollMs: file.poll,
  };
}
