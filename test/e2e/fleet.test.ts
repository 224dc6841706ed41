// A short run of the fleet (npm run fleet is the long one, with Redis and the provider killed, and Redis far away).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runFleet } from '../../bench/fleet/fleet.ts';

test('fifteen apps in three processes ask the provider as one would, never twice at once, and no request goes without a token', async (t) => {
  const figures = await runFleet({
    ...{ processes: 3, appsPerProcess: 5, lifetimeSeconds: 10, seconds: 15 },
    ...{ disturbed: false, alone: false },
  });
  const [{ sent, lost, reasons } = { sent: 0, lost: 0, reasons: {} }] = figures.phases;
  const { callsPerAudienceAndLifetime, callsDoubled, callsPeakPerSecond } = figures;
  t.diagnostic(`token_calls_per_audience_and_lifetime ${callsPerAudienceAndLifetime.toFixed(2)} calls`);
  t.diagnostic(`token_calls_doubled ${callsDoubled} calls, peak ${callsPeakPerSecond} calls/s`);
  t.diagnostic(`requests_lost ${lost} of ${sent} requests`);
  // Refresh at half life makes 2.0, fifteen lone sidecars about 25.
  assert.ok(callsPerAudienceAndLifetime <= 2.1, `${callsPerAudienceAndLifetime} calls`);
  assert.ok(callsPerAudienceAndLifetime >= 1, 'tokens were renewed');
  assert.equal(callsDoubled, 0);
  // 15 apps, five a second; a busy machine sends fewer.
  assert.ok(sent > 300, `${sent} requests`);
  assert.equal(lost, 0, JSON.stringify(reasons));
});
