// The configuration of bearerd was changed and Envoy's was not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Config, OutboundConfig } from '../../../src/config/config.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { readEnvoyState } from '../../../src/doors/doctor/envoy-state.ts';
import { findings } from '../../../src/doors/doctor/findings.ts';
import { generateEnvoy } from '../../../src/doors/generate/generate.ts';
import { generateInbound } from '../../../src/doors/generate/inbound/inbound.ts';
import type { Door } from '../../../src/doors/generate/plan.ts';
import { configOf } from '../../support/generate-config.ts';

const withMode = (mode: OutboundConfig['rollout']['mode'], percent?: number, by?: string) =>
  configOf([{ name: 'orders', hosts: ['orders.example.com'], mode: { mode, percent, by } }]);
const enforced = withMode('enforce');
const told = (now: Config, before: Config, door: Door) =>
  findings(now, readEnvoyState({}, parse(generateEnvoy(before, { door })), {})).filter(({ what }) =>
    /has the mode|reads the header|incoming/.test(what),
  );

test('push goes on injecting whatever the mode is by now, unless it was generated for a share', () => {
  const modes = [
    withMode('off'),
    withMode('shadow'),
    withMode('enforce', 20),
    withMode('enforce', 20, 'x-user-id'),
  ];
  for (const now of modes) {
    const [finding] = told(now, enforced, 'push');
    assert.match(finding!.what, /^policy orders has the mode .*generated for enforce$/);
    assert.equal(finding!.severity, 'error');
  }
  assert.deepEqual(told(enforced, enforced, 'push'), []);
  for (const now of modes.slice(0, 3)) assert.deepEqual(told(now, withMode('enforce', 5), 'push'), []);
  for (const now of modes.slice(0, 3)) assert.deepEqual(told(now, enforced, 'check'), []);
});

test('a header that a share or a subject is told by, and that Envoy does not send', () => {
  const by = withMode('enforce', 20, 'x-user-id');
  for (const door of ['check', 'attempt'] as const) {
    assert.match(told(by, enforced, door)[0]!.what, /reads the header x-user-id, which Envoy does not send/);
    assert.deepEqual(told(by, by, door), []);
  }
});

test('an inbound side that no listener asks about, and one whose listener was generated for other rules', () => {
  const config = (policy: string) =>
    parseConfig(
      `version: 1
listen: { check_inbound: unix:///run/bearerd/inbound.sock }
inbound:
  api_keys: { file: keys.yaml, header: x-partner-key }
  policies: [{ name: partners, match: {}, api_keys: true, ${policy} }]`,
      '/etc/bearerd/bearerd.yaml',
    );
  const now = config('rate_limit: { requests: 9, per: 1s, key: { header: x-tenant } }');
  const toldOf = (before: Config) =>
    findings(now, readEnvoyState({}, parse(generateInbound(before, {})), {})).map(({ what }) => what);
  assert.match(findings(now, readEnvoyState({}, {}, {}))[0]!.what, /^no listener of this Envoy asks/);
  assert.deepEqual(toldOf(now), []);
  assert.match(toldOf(config('scopes: []')).join(), /^the configuration reads the header x-tenant/);
});
