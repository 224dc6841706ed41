import { test } from 'node:test';
import { soak } from '../support/soak.ts';

test('two minutes of faults at random lose nothing that a door can keep', { timeout: 600_000 }, (t) =>
  soak(t, { seconds: 120, perSecond: 90, seed: 1 }),
);
