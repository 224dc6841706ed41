// A secret by reference: { file }, { env }, or { inline } in development mode (see checks.ts).
import * as z from 'zod';
import { Secret } from '../../lib/secret.ts';
import { exactlyOne, filePath, oneOfKeys } from '../schema-values.ts';

/** A secret by reference. `inline` only in development mode. */
export type SecretRef =
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'env'; readonly name: string }
  | { readonly from: 'inline'; readonly value: Secret };

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
  .meta(oneOfKeys('file', 'env', 'inline'))
  .transform(({ file, env, inline }): SecretRef => {
    if (file !== undefined) return { from: 'file', path: file };
    if (env !== undefined) return { from: 'env', name: env };
    return { from: 'inline', value: new Secret(inline!) };
  });

export function resolveSecretRef(ref: SecretRef, path: (relative: string) => string): SecretRef {
  return ref.from === 'file' ? { from: 'file', path: path(ref.path) } : ref;
}
