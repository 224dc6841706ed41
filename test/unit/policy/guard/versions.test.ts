import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Config, SourceConfig } from '../../../../src/config/config.ts';
import { parseConfig } from '../../../../src/config/parse.ts';
import {
  alarmOf,
  arrange,
  isUnderWay,
  nextStates,
  type PolicyState,
  type PolicyStates,
} from '../../../../src/policy/guard/versions.ts';

interface Wish {
  readonly sources?: string;
  readonly source?: string;
  readonly mode?: string;
  readonly hosts?: string;
  readonly guard?: string;
}

const FILE = (path: string) => `{ file: { path: /run/${path} } }`;

function configOf({
  sources = `  one: ${FILE('one')}`,
  source = 'one',
  mode = 'enforce',
  hosts = '[orders.example.com]',
  guard = '{}',
}: Wish = {}): Config {
  return parseConfig(
    `version: 1
listen: { check: unix:///run/check.sock }
sources:
${sources}
outbound:
  - { name: orders, match: { hosts: ${hosts} }, inject: { source: ${source} }, mode: ${mode}, guard: ${guard} }
`,
    '/etc/bearerd.yaml',
  );
}

const states = (config: Config, change: Partial<PolicyState> = {}, before: PolicyStates = new Map()) =>
  new Map([...nextStates(before, config)].map(([name, state]) => [name, { ...state, ...change }]));
const yes = (): boolean => true;
const sourceNames = (sources: readonly SourceConfig[]) => sources.map(({ name }) => name);

describe('versions under the guard', () => {
  it('a version with the same hash goes on with what is known, also one that was stepped back', () => {
    const good = nextStates(new Map(), configOf({ mode: '{ percent: 25 }' })).get('orders')!.current;
    const before = states(configOf(), { alarm: 'stepped_back', good });
    assert.deepEqual(nextStates(before, configOf()), before);
  });

  it('a version with another hash begins anew: the one before is good if it was proven and in force', () => {
    const v1 = configOf();
    const v2 = configOf({ mode: '{ percent: 25 }' });
    const v3 = configOf({ mode: '{ percent: 50 }' });
    const proven = states(v1, { proven: true });
    const second = nextStates(proven, v2).get('orders')!;
    assert.equal(second.good?.hash, proven.get('orders')!.current.hash);
    assert.equal(second.proven, false);
    // Of v2 nothing is known: v1 stays the last good one.
    const third = nextStates(new Map([['orders', second]]), v3).get('orders')!;
    assert.equal(third.good?.hash, second.good?.hash);
    const stepped = new Map([['orders', { ...second, proven: true, alarm: 'stepped_back' as const }]]);
    assert.equal(nextStates(stepped, v3).get('orders')!.good?.hash, second.good?.hash);
  });

  it('watches a version until it is proven, and a share for as long as it is one', () => {
    const of = (wish: Wish, change: Partial<PolicyState> = {}) =>
      isUnderWay(states(configOf(wish), change).get('orders')!);
    assert.equal(of({}), true);
    assert.equal(of({}, { proven: true }), false);
    assert.equal(of({ mode: '{ percent: 25 }' }, { proven: true }), true);
    assert.equal(of({ mode: '{ percent: 100 }' }, { proven: true }), false);
    assert.equal(of({ mode: 'shadow' }), false);
    assert.equal(of({}, { alarm: 'stepped_back' }), false);
    assert.equal(of({}, { alarm: 'nothing_to_step_back_to' }), true);
  });

  it('steps back where a good version can inject; a share is withdrawn; enforce without one stays in force', () => {
    const good = nextStates(new Map(), configOf()).get('orders')!.current;
    const enforced = configOf({ source: 'two', sources: `  two: ${FILE('two')}` });
    const share = configOf({ mode: '{ percent: 25 }' });
    const alarm = (config: Config, change: Partial<PolicyState>, can = yes) =>
      alarmOf(states(config, change).get('orders')!, config, can);
    assert.equal(alarm(enforced, { good }), 'stepped_back');
    assert.equal(
      alarm(enforced, { good }, () => false),
      'nothing_to_step_back_to',
    );
    assert.equal(alarm(enforced, {}), 'nothing_to_step_back_to');
    assert.equal(alarm(share, {}), 'withdrawn');
  });

  it('a good version stands by with its source under its own name, and under another where that is taken', () => {
    const v1 = configOf();
    const before = states(v1, { proven: true });
    const gone = configOf({ source: 'two', sources: `  two: ${FILE('two')}` });
    assert.deepEqual(sourceNames(arrange(gone, nextStates(before, gone)).config.sources), ['two', 'one']);
    const taken = configOf({ sources: `  one: ${FILE('other')}` });
    const [, kept] = arrange(taken, nextStates(before, taken)).config.sources;
    assert.ok(kept);
    assert.match(kept.name, /^one@[0-9a-f]{8}$/);
    assert.equal(kept.type === 'file' && kept.path, '/run/one');
    // Proven, it needs no other any more.
    const done = new Map([['orders', { ...nextStates(before, taken).get('orders')!, proven: true }]]);
    assert.equal(arrange(taken, done).config, taken);
  });

  it('stepped back, the good version stands in force as it was, hosts included, in the same place', () => {
    const v1 = configOf({ hosts: '[orders.example.com]' });
    const v2 = configOf({ hosts: '["*.example.com"]', sources: `  one: ${FILE('other')}` });
    const stepped = states(v2, { alarm: 'stepped_back' }, states(v1, { proven: true }));
    const { config, insteads } = arrange(v2, stepped);
    const [policy] = config.outbound;
    assert.deepEqual(policy!.match, v1.outbound[0]!.match);
    assert.match(policy!.inject.source, /^one@/);
    assert.equal(insteads.get('orders')!.given, v2.outbound[0]);
    assert.deepEqual(sourceNames(v2.sources), ['one'], 'the configuration itself is as it was');
  });

  it('withdrawn, its requests are left as they are, and never fall through to another policy', () => {
    const share = configOf({ mode: '{ percent: 25 }' });
    const { config } = arrange(share, states(share, { alarm: 'withdrawn' }));
    assert.equal(config.outbound[0]!.rollout.mode, 'shadow');
  });

  it('a refresh token that another source holds by now has no second holder', () => {
    const token = (id: string) =>
      `  one: { refresh_token: { token_endpoint: https://idp.example.com/token, client_id: ${id}, client_auth: none, store: { file: /var/t, key: { file: /var/k } } } }`;
    const v1 = configOf({ sources: token('a') });
    const v2 = configOf({ sources: token('b') });
    const next = states(v2, {}, states(v1, { proven: true }));
    assert.equal(alarmOf(next.get('orders')!, v2, yes), 'nothing_to_step_back_to');
    assert.deepEqual(sourceNames(arrange(v2, next).config.sources), ['one']);
    const renamed = configOf({ source: 'two', sources: token('a').replace('one:', 'two:') });
    const second = states(renamed, {}, states(v1, { proven: true }));
    assert.deepEqual(sourceNames(arrange(renamed, second).config.sources), ['two']);
    // Stepped back to it while it was there, and now it is not: the version of the configuration is watched again.
    const lost = new Map([['orders', { ...second.get('orders')!, alarm: 'stepped_back' as const }]]);
    assert.equal(nextStates(lost, renamed).get('orders')!.alarm, undefined);
  });

  it('a policy whose guard was taken away is what the configuration says', () => {
    const v1 = configOf();
    const bare = parseConfig(
      `version: 1
listen: { check: unix:///run/check.sock }
sources: { one: ${FILE('one')} }
outbound: [{ name: orders, match: { hosts: [orders.example.com] }, inject: { source: one } }]
`,
      '/etc/bearerd.yaml',
    );
    assert.equal(nextStates(states(v1, { alarm: 'withdrawn' }), bare).size, 0);
  });
});
