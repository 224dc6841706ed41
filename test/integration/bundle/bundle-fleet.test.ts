// A small fleet and its server: the arithmetic of docs/bundle.md holds. `npm run bench:bundle` is the large one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runBundleFleet } from '../../support/bundle-fleet.ts';

test('150 pods at 3 s ask 50 times a second, without a body while nothing changes, and all have a new one after 1.2 polls', async (t) => {
  const pods = 150;
  const pollMs = 3_000;
  const figures = await runBundleFleet({ pods, pollMs, policies: 20 });
  t.diagnostic(JSON.stringify(figures));
  const expected = pods / (pollMs / 1_000);
  // The shortest pause is 0.8 of a poll; on a busy machine polls come late, and then together.
  assert.ok(figures.requestsPerSecond > expected * 0.5, `${figures.requestsPerSecond}`);
  assert.ok(figures.requestsPerSecond < expected * 1.5, `${figures.requestsPerSecond}`);
  assert.equal(figures.unchangedShare, 1);
  assert.ok(figures.bytesPerPoll < figures.bundleBytes, 'a poll without a change carries no bundle');
  const { halfMs, allMs } = figures.rollout;
  assert.ok(halfMs < allMs);
  assert.ok(allMs < pollMs * 1.2 + 3_000, `${allMs} ms, bound 1.2 polls and 3 s for a busy machine`);
});
