import { test } from 'node:test';
import { soak } from '../support/soak.ts';

const SEED = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000);
const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 1_800);

test('thirty minutes of faults at random lose nothing that a door can keep', { timeout: 2_100_000 }, (t) =>
  soak(t, { seconds: SECONDS, perSecond: 90, seed: SEED }),
);
