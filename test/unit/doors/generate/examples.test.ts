import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadConfig } from '../../../../src/config/load.ts';
import { generateEnvoy } from '../../../../src/doors/generate/generate.ts';

for (const door of ['check', 'push', 'attempt', 'both'] as const) {
  test(`envoy/${door}.yaml is the generator's word for envoy/bearerd.yaml`, async () => {
    const config = await loadConfig('envoy/bearerd.yaml');
    assert.equal(
      readFileSync(`envoy/${door}.yaml`, 'utf8'),
      generateEnvoy(config, { door }),
      'npm run examples',
    );
  });
}
