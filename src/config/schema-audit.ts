// The schema of `audit`: where the audit trail goes, and the key of its chain.
import * as z from 'zod';
import { filePath } from './schema-values.ts';
import { type SecretRef, secretRef } from './source/secret-ref.ts';

export interface AuditConfig {
  readonly sink:
    | { readonly kind: 'stdout' }
    | {
        readonly kind: 'file';
        readonly path: string;
        readonly rotateBytes: number;
        readonly keepDays: number;
      };
  /** Of the HMAC chain; undefined = no chain. */
  readonly key: SecretRef | undefined;
  /** Which sidecar it was. */
  readonly node: string;
}

export const audit = z
  .strictObject({
    sink: z
      .union([z.literal('stdout'), z.strictObject({ file: filePath })], {
        error: 'expected stdout or { file: /path/audit.jsonl }',
      })
      .describe('JSON lines to standard output, or to a file. Relative: to this file.'),
    rotate_bytes: z
      .int()
      .min(64 << 10)
      .max(1 << 30)
      .default(64 << 20)
      .describe('A new file begins each day and above this size. Default 67108864 (64 MiB).'),
    keep_days: z
      .int()
      .min(1)
      .max(3_650)
      .default(90)
      .describe('Files are removed after so many days. Default 90.'),
    key: secretRef
      .optional()
      .describe('Key of the HMAC chain that shows a changed or missing record. Default: no chain.'),
    node: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('Name of this sidecar in each record. Default: the host name, which is the pod’s.'),
  })
  .describe('Audit trail: issues, refusals, life cycle, denials. Default: none.');
