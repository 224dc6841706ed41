// `npm run examples`: the Envoy configurations in envoy/, made from envoy/bearerd.yaml. A test holds them equal.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../src/config/load.ts';
import { generateEnvoy } from '../src/doors/generate/generate.ts';

const folder = join(import.meta.dirname, '../envoy');
const config = await loadConfig(join(folder, 'bearerd.yaml'));
for (const door of ['check', 'push', 'attempt', 'both'] as const) {
  await writeFile(join(folder, `${door}.yaml`), generateEnvoy(config, { door }));
}
