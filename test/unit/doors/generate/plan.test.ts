import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planDoors } from '../../../../src/doors/generate/plan.ts';
import { configOf } from '../../../support/generate-config.ts';

test('ten thousand hosts are planned in a time that grows with them alone', (t) => {
  const config = configOf(
    Array.from({ length: 10_000 }, (_, i) => ({ name: `p${i}`, hosts: [`h${i}.prod.example.com`] })),
  );
  const begun = performance.now();
  const { hosts } = planDoors(config, 'check');
  const ms = performance.now() - begun;
  t.diagnostic(`${ms.toFixed(0)} ms`);
  assert.equal(hosts.length, 10_000);
  assert.ok(ms < 4_000, `${ms} ms`);
});

test('wildcards above a host cover it in the order of the file, whatever their depth', () => {
  const { hosts } = planDoors(
    configOf([
      { name: 'far', hosts: ['*.com'] },
      { name: 'own', hosts: ['a.example.com'] },
      { name: 'near', hosts: ['*.example.com'] },
      { name: 'other', hosts: ['example.com', 'xexample.com'] },
    ]),
    'check',
  );
  const policiesOf = (host: string) =>
    hosts.find(({ name }) => name === host)!.rules.map(({ policy }) => policy.name);
  assert.deepEqual(policiesOf('a.example.com'), ['far', 'own', 'near']);
  assert.deepEqual(policiesOf('*.example.com'), ['far', 'near']);
  assert.deepEqual(policiesOf('xexample.com'), ['far', 'other']);
});
