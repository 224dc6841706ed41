import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { plaintext } from '../../../src/doors/doctor/plaintext.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { configOf } from '../../support/generate-config.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: a cluster that carries a credential without TLS is told, unless declared or on loopback`, () => {
    const sketch = { name: 'orders', hosts: ['orders.prod.svc.cluster.local'] };
    const found = (allowPlaintext: boolean, address: string, tls?: { ca: string }) => {
      const upstream = { address, port: 80, ...(tls ? { tls } : {}) };
      const upstreams = { 'orders.prod.svc.cluster.local': upstream };
      const bootstrap: unknown = parse(generateEnvoy(configOf([sketch]), { door, upstreams }));
      return plaintext(configOf([{ ...sketch, allowPlaintext }]), readEnvoyState({}, bootstrap, {})).map(
        ({ severity, what }) => `${severity} ${what}`,
      );
    };
    const [only, ...others] = found(false, '10.0.0.1');
    assert.match(only!, /^error cluster .*: the credential of policy orders leaves by it without TLS/);
    assert.deepEqual(others, []);
    assert.deepEqual(found(true, '10.0.0.1'), []);
    assert.deepEqual(found(false, '127.0.0.1'), []);
    assert.deepEqual(found(false, '10.0.0.1', { ca: '/ca' }), []);
  });
}
