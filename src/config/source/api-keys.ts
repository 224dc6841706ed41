// sources.NAME.api_keys
import * as z from 'zod';
import { duration, filePath } from '../schema-values.ts';
import { sourceKind } from './kind.ts';

export interface ApiKeysConfig {
  readonly type: 'api_keys';
  /** Absolute path of the ring file. */
  readonly ring: string;
  readonly graceMs: number;
}

const HOUR_MS = 3_600_000;

const schema = z
  .strictObject({
    ring: filePath.describe(
      'Ring file, YAML: keys: [{ id, value: { file }, not_before, expires_at, state }]; followed while it changes. Relative: to this file.',
    ),
    grace_period: duration({ minMs: 0, maxMs: 30 * 24 * HOUR_MS })
      .prefault('24h')
      .describe(
        'So long before the end of a key an activated one that lives longer takes its place; 0s to 720h. Default 24h.',
      ),
  })
  .describe('API keys of a ring: several in parallel, the next one at once when the upstream refuses one.');

export const apiKeys = sourceKind({
  schema,
  toConfig: ({ ring, grace_period }, path): ApiKeysConfig => ({
    type: 'api_keys',
    ring: path(ring),
    graceMs: grace_period,
  }),
  renewable: true,
  providerUrls: [],
});
