// What a fleet of 10,000 pods asks of the server of its policy bundle, polling every 60 s, all in this process: one line a
// figure, `name value unit`. Takes four minutes; `npm run bench:bundle -- PODS POLL_SECONDS` for others.
import { runBundleFleet } from '../test/support/bundle-fleet.ts';

const [pods = 10_000, pollSeconds = 60] = process.argv.slice(2).map(Number);
const begun = performance.now();
const figures = await runBundleFleet({ pods, pollMs: pollSeconds * 1_000, policies: 50 }, (text) =>
  process.stderr.write(`${((performance.now() - begun) / 1_000).toFixed(0)} s: ${text}\n`),
);
const { rollout } = figures;
if (Object.keys(figures.refused).length > 0)
  process.stderr.write(`refused: ${JSON.stringify(figures.refused)}\n`);
const lines: readonly (readonly [name: string, value: number, unit: string])[] = [
  ['bundle_pods', pods, 'pods'],
  ['bundle_poll', pollSeconds, 's'],
  ['bundle_size', figures.bundleBytes, 'bytes'],
  ['bundle_requests_per_second', figures.requestsPerSecond, '1/s'],
  ['bundle_requests_peak', figures.peakRequestsPerSecond, '1/s'],
  ['bundle_unchanged_share', figures.unchangedShare, ''],
  ['bundle_bytes_per_poll', figures.bytesPerPoll, 'bytes'],
  ['bundle_bytes_per_second', figures.bytesPerSecond, 'bytes/s'],
  ['bundle_rollout_half', rollout.halfMs / 1_000, 's'],
  ['bundle_rollout_99_percent', rollout.mostMs / 1_000, 's'],
  ['bundle_rollout_all', rollout.allMs / 1_000, 's'],
  ['bundle_rollout_bytes', figures.rolloutBytes, 'bytes'],
  ['bundle_polls_refused', Object.values(figures.refused).reduce((a, b) => a + b, 0), ''],
];
for (const [name, value, unit] of lines) {
  process.stdout.write(`${name} ${Number.isInteger(value) ? value : value.toPrecision(4)} ${unit}\n`);
}
