import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Config, GuardConfig } from '../../../src/config/config.ts';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { statistics } from '../../../src/doors/doctor/statistics.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { KEPT_STATISTICS } from '../../../src/doors/push/envoy-statistics.ts';
import { configOf } from '../../support/generate-config.ts';

const GUARD: GuardConfig = { percent: 5, requests: 100, goodAfterMs: 1_000 };

function lacking(matcher: object | undefined): string | undefined {
  const policy = { name: 'orders', hosts: ['orders.example.com'], guard: GUARD };
  const config: Config = {
    ...configOf([policy]),
    envoyAdmin: { kind: 'tcp', host: '127.0.0.1', port: 15000 },
  };
  const bootstrap = parse(generateEnvoy(config, { door: 'push' })) as object;
  const stats_config = matcher && { stats_matcher: matcher };
  const [only, ...others] = statistics(config, readEnvoyState({}, { ...bootstrap, stats_config }, {}));
  assert.deepEqual(others, []);
  return only && /drops (.*)$/.exec(only.what)![1];
}

const all = KEPT_STATISTICS.join(', ');
const suffixes = KEPT_STATISTICS.map((suffix) => ({ suffix }));
const kept = (...patterns: object[]) => lacking({ inclusion_list: { patterns } });

test('an Envoy without a matcher, or one that keeps what the guard reads, lacks nothing', () => {
  assert.equal(lacking(undefined), undefined);
  assert.equal(lacking({ reject_all: false }), undefined);
  assert.equal(kept({ prefix: 'server' }, ...suffixes), undefined);
  assert.equal(kept({ prefix: 'Cluster.', ignore_case: true }), undefined);
  assert.equal(
    kept({ safe_regex: { regex: 'cluster[.].*[.](upstream_rq_.*|credential_injector.*)' } }),
    undefined,
  );
  assert.equal(lacking({ exclusion_list: { patterns: [{ suffix: 'upstream_rq_503' }] } }), undefined);
});

test('what it drops is named, and only where a policy has a guard', () => {
  assert.equal(lacking({ reject_all: true }), all);
  assert.equal(kept({ prefix: 'server' }), all);
  assert.equal(kept({ contains: 'credential_injector' }), 'upstream_rq_completed, upstream_rq_401');
  assert.equal(kept(...suffixes.slice(1)), 'upstream_rq_completed');
  assert.equal(lacking({ exclusion_list: { patterns: [{ suffix: '_401' }] } }), 'upstream_rq_401');
});

test('a policy without a guard asks for none', () => {
  const config = configOf([{ name: 'orders', hosts: ['orders.example.com'] }]);
  const bootstrap = parse(generateEnvoy(config, { door: 'push' })) as object;
  const stats_config = { stats_matcher: { reject_all: true } };
  assert.deepEqual(statistics(config, readEnvoyState({}, { ...bootstrap, stats_config }, {})), []);
});
