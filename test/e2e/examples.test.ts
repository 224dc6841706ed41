// The configurations in envoy/ are what the generator makes, and every promised Envoy accepts them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';
import { TESTED_ENVOYS, validateEnvoy } from '../support/envoy.ts';

describe('envoy/', () => {
  for (const door of ['check', 'push', 'attempt', 'both'] as const) {
    test(`${door}.yaml is the generator's word for envoy/bearerd.yaml`, async () => {
      const config = await loadConfig('envoy/bearerd.yaml');
      assert.equal(
        readFileSync(`envoy/${door}.yaml`, 'utf8'),
        generateEnvoy(config, { door }),
        'npm run examples',
      );
    });
    for (const version of TESTED_ENVOYS) {
      test(`Envoy ${version} accepts ${door}.yaml`, async () => {
        const { ok, output } = await validateEnvoy(readFileSync(`envoy/${door}.yaml`, 'utf8'), version);
        assert.ok(ok, output);
      });
    }
  }
});
