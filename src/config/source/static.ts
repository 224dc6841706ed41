// sources.NAME.static
import * as z from 'zod';
import { sourceKind } from './kind.ts';
import { resolveSecretRef, type SecretRef, secretRef } from './secret-ref.ts';

export interface StaticConfig {
  readonly type: 'static';
  readonly value: SecretRef;
}

export const staticValue = sourceKind({
  schema: z
    .strictObject({ value: secretRef.describe('Reference to the value: { file: /path } or { env: NAME }.') })
    .describe('A key that does not expire by itself; a JWT lives to its own exp.'),
  toConfig: ({ value }, path): StaticConfig => ({ type: 'static', value: resolveSecretRef(value, path) }),
  renewable: false,
  providerUrls: [],
});
