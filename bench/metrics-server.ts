// bearerd as `serve` starts it, with its metrics or with none: node bench/metrics-server.ts CONFIG on|off
import { createApp } from '../src/app/app.ts';
import { loadConfig } from '../src/config/load.ts';
import { systemClock } from '../src/lib/clock.ts';
import { parseRuntime } from '../src/lib/runtime.ts';
import { nullObserver } from '../src/telemetry/observer.ts';

const [file, metrics] = process.argv.slice(2);
const app = await createApp(await loadConfig(file!), {
  clock: systemClock,
  env: process.env,
  random: Math.random,
  log: { write: (line) => void process.stdout.write(line) },
  version: 'bench',
  runtime: parseRuntime(process.env, process.versions.node, true),
  ...(metrics === 'off' && {
    metrics: {
      observer: nullObserver,
      decisionsOf: () => [],
      requestsOf: () => ({ injected: 0, enforced: 0, missing: 0, withheld: 0 }),
      render: async () => '',
      list: () => [],
    },
  }),
});
const { health } = await app.start();
process.stdout.write(`health ${health}\n`);
process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)));
