import { test } from 'node:test';
import { reloadUnderLoad } from '../support/reloads.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: 200 reloads under 500 requests/s, 20 of them broken, lose nothing`, (t) =>
    reloadUnderLoad(t, { door, reloads: 200, perSecond: 500 }));
}

for (const form of ['directory', 'bundle'] as const) {
  test(`check: 200 reloads under 500 requests/s, 20 of them broken, lose nothing, as a ${form}`, (t) =>
    reloadUnderLoad(t, { door: 'check', form, reloads: 200, perSecond: 500 }));
}
