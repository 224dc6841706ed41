// Every promised Envoy accepts the configurations in envoy/ (test/unit/doors/generate/examples.test.ts: who makes them).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { TESTED_ENVOYS, validateEnvoy } from '../support/envoy.ts';

describe('envoy/', () => {
  for (const door of ['check', 'push', 'attempt', 'both']) {
    for (const version of TESTED_ENVOYS) {
      test(`Envoy ${version} accepts ${door}.yaml`, async () => {
        const { ok, output } = await validateEnvoy(readFileSync(`envoy/${door}.yaml`, 'utf8'), version);
        assert.ok(ok, output);
      });
    }
  }
});
