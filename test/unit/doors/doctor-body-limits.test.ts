import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { bodyLimits } from '../../../src/doors/doctor/body-limits.ts';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { configOf } from '../../support/generate-config.ts';

test('a limit by the body that Envoy does not count, or counts by other numbers, is told', () => {
  const config = (requests: number | undefined) => {
    const base = configOf([{ name: 'models', hosts: ['models.example.com'] }]);
    const bodyLimit = requests && {
      ...{ requests, perMs: 60_000, burst: requests, keys: ['model'], values: {} },
      ...{ maxBodyBytes: 4_096, maxValues: 10 },
    };
    return { ...base, outbound: base.outbound.map((one) => ({ ...one, bodyLimit: bodyLimit || undefined })) };
  };
  const found = (wanted: number, generated: number | undefined) => {
    const bootstrap: unknown = parse(generateEnvoy(config(generated), { door: 'push' }));
    return bodyLimits(config(wanted), readEnvoyState({}, bootstrap, {})).map(({ what }) => what);
  };
  assert.deepEqual(found(5, 5), []);
  assert.match(found(5, undefined).join(), /^policy models .* Envoy does not count it$/);
  assert.match(found(5, 6).join(), /^policy models .* Envoy counts by other numbers$/);
});
