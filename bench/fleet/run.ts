// npm run fleet [-- --seconds N --processes N --apps N]: a fleet with one Redis. One line a figure (name value unit).
import { parseArgs } from 'node:util';
import { runFleet } from './fleet.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '180' },
    processes: { type: 'string', default: '10' },
    apps: { type: 'string', default: '20' },
    /** For comparison: each app on its own, undisturbed only. */
    alone: { type: 'boolean', default: false },
  },
});
const [processes, appsPerProcess] = [Number(values.processes), Number(values.apps)];

const print = (name: string, value: number, unit: string, wanted = '') =>
  process.stdout.write(
    `${name} ${Number.isInteger(value) ? value : value.toFixed(2)} ${unit}${wanted && `  wanted ${wanted}`}\n`,
  );

// Ended by a signal it leaves nothing running: what was started is killed at the exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const { alone } = values;
const figures = await runFleet({
  ...{ processes, appsPerProcess, lifetimeSeconds: 20, seconds: Number(values.seconds) },
  ...{ disturbed: !alone, alone },
});
print('fleet_apps', appsPerProcess * processes, 'apps');
print('token_calls_per_audience_and_lifetime', figures.callsPerAudienceAndLifetime, 'calls', '2.1 or less');
print('token_calls_doubled', figures.callsDoubled, 'calls', '0');
print('token_calls_peak_per_s', figures.callsPeakPerSecond, 'calls/s');
for (const { name, sent, lost, reasons } of figures.phases) {
  print(`requests_${name}`, sent, 'requests');
  print(`requests_lost_${name}`, lost, 'requests', '0');
  for (const [reason, count] of Object.entries(reasons)) {
    process.stderr.write(`lost: ${name}: ${reason}: ${count}\n`);
  }
}
const lost = figures.phases.reduce((all, phase) => all + phase.lost, 0);
print('requests_lost', lost, 'requests', '0');
