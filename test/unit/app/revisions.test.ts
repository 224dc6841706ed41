import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InForce } from '../../../src/app/in-force.ts';
import { createRevisions } from '../../../src/app/revisions.ts';
import { ConfigError } from '../../../src/lib/errors.ts';
import { configOf } from '../../support/generate-config.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

test('a reload gives sources that were refused for good another chance, one with problems does not', async () => {
  let chances = 0;
  const lines: string[] = [];
  const given = configOf([]);
  const inForce = {
    given,
    store: { reconsider: () => chances++ },
    inTurn: (change: () => Promise<boolean>) => change(),
  } as unknown as InForce;
  const { reload } = createRevisions({
    ...{ inForce, bundle: undefined, audit: undefined, env: {}, now: () => 0 },
    observer: createRecordingObserver().observer,
    logger: { info: ({ operation }: { operation: string }) => lines.push(operation) } as never,
  });
  // Also by SIGHUP with the same file: what was wrong may have been elsewhere.
  assert.equal(await reload(async () => given), true);
  assert.equal(chances, 1);
  assert.equal(
    await reload(async () => {
      throw new ConfigError('bearerd.yaml', []);
    }),
    false,
  );
  assert.equal(chances, 1);
  // Whoever looks at the log finds out that the file is mended.
  assert.deepEqual(lines, []);
  for (const _ of [1, 2]) assert.equal(await reload(async () => given), true);
  assert.deepEqual(lines, ['configuration_in_force']);
});
