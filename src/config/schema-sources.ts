// The schema below `sources`: what all ways to get a credential share, and exactly one of them (source/kinds.ts).
import * as z from 'zod';
import { host } from './schema-outbound.ts';
import { duration, environment, exactlyOne, listed, nameText, oneOfKeys, owner } from './schema-values.ts';
import { kindNames, kinds } from './source/kinds.ts';

const HOUR_MS = 3_600_000;

type Kinds = typeof kinds;
const shapes = Object.fromEntries(
  Object.entries(kinds).map(([name, { schema }]) => [name, schema.optional()]),
) as {
  [K in keyof Kinds]: z.ZodOptional<Kinds[K]['schema']>;
};

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
    fallback: z
      .string()
      .optional()
      .describe(
        'Name of the source that is asked while this one is away (no connection, no answer, 5xx, 429), never after a refusal. Default: none.',
      ),
    environment: environment.optional(),
    owner: owner.optional(),
    hosts: z
      .array(host)
      .min(1)
      .optional()
      .describe(
        'Hosts that its credential may go to, as in match.hosts; a policy for another is refused. Default: any.',
      ),
    ...shapes,
  })
  .check(exactlyOne(...kindNames))
  .meta({
    description: `One way to get a credential: exactly one of ${listed(kindNames)}.`,
    ...oneOfKeys(...kindNames),
  });

export const sources = z.record(nameText('source'), source);
