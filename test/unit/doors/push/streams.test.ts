// Both SDS protocols without sockets: the test is the Envoy.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { parseConfig } from '../../../../src/config/parse.ts';
import { createDelta } from '../../../../src/doors/push/delta.ts';
import { createPushedSecrets, type PushedSecrets } from '../../../../src/doors/push/pushed-secrets.ts';
import { SECRET_TYPE_URL } from '../../../../src/doors/push/secret-resource.ts';
import { createStateOfTheWorld } from '../../../../src/doors/push/state-of-the-world.ts';
import { Secret } from '../../../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import {
  DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  DiscoveryRequest,
  type DiscoveryResponse,
} from '../../../../src/gen/envoy/service/discovery/v3/discovery.ts';
import { compilePolicies } from '../../../../src/policy/compile.ts';
import { FakeClock, settle } from '../../../support/fake-clock.ts';
import { fakePolicies } from '../../../support/fake-policies.ts';
import { FakeStore } from '../../../support/fake-store.ts';
import { FakeStream } from '../../../support/fake-stream.ts';
import { createRecordingObserver, type RecordingObserver } from '../../../support/recording-observer.ts';

const policies = fakePolicies([
  { name: 'orders', host: 'orders' },
  { name: 'orders-again', host: 'orders2', source: 'orders' },
  { name: 'legacy', host: 'legacy', prefix: '' },
]);

let store: FakeStore;
let clock: FakeClock;
let secrets: PushedSecrets;
let recorded: RecordingObserver;
beforeEach(() => {
  store = new FakeStore();
  clock = new FakeClock();
  secrets = createPushedSecrets({ store, policies, clock });
  recorded = createRecordingObserver();
});
const deps = (sources?: string[]) => ({
  secrets,
  observer: recorded.observer,
  name: 'xds',
  sources: sources === undefined ? undefined : new Set(sources),
});

const readSecret = (bytes: Uint8Array): [string, string] => {
  const { name, type } = Secret.decode(bytes);
  return [name, type!.genericSecret.secret!.specifier!.inlineString];
};
const error = { code: 13, message: 'refused by the test' };

// --- state of the world

type Sotw = FakeStream<DiscoveryRequest, DiscoveryResponse>;
const openSotw = (sources?: string[]): Sotw => {
  const stream: Sotw = new FakeStream();
  createStateOfTheWorld(deps(sources))(stream);
  return stream;
};
const sotwRequest = (patch: Partial<DiscoveryRequest>): DiscoveryRequest => ({
  ...DiscoveryRequest.decode(new Uint8Array()),
  typeUrl: SECRET_TYPE_URL,
  ...patch,
});
const only = <T>(list: readonly T[]): T => {
  assert.equal(list.length, 1);
  return list[0]!;
};
const ack = (stream: Sotw, response: DiscoveryResponse, names: string[], patch = {}) =>
  stream.receive(
    sotwRequest({
      versionInfo: response.versionInfo,
      responseNonce: response.nonce,
      resourceNames: names,
      ...patch,
    }),
  );
const valuesOf = (response: DiscoveryResponse) => response.resources.map((any) => readSecret(any.value));

test('every name is answered at once: with the credential, or empty when there is none or it is unknown', () => {
  store.publish('legacy', 'key');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders', 'legacy/', 'nobody'] }));
  assert.deepEqual(valuesOf(only(stream.take())), [
    ['orders', ''],
    ['legacy/', 'key'],
    ['nobody', ''],
  ]);
  assert.deepEqual(recorded.named('secretSubscribed'), [
    ['orders', true],
    ['legacy/', true],
    ['nobody', false],
  ]);
});

test('of many names those of policies are shown, whatever a peer makes up and refuses', () => {
  const stream = openSotw();
  const madeUp = Array.from({ length: 600 }, (_, i) => `made-up-${i}`);
  stream.receive(sotwRequest({ resourceNames: [...madeUp, 'orders'] }));
  const answer = only(stream.take());
  ack(stream, answer, [...madeUp, 'orders'], { errorDetail: error });
  const { subscribers, leftOut } = secrets.status();
  assert.equal(leftOut, 101);
  assert.equal(only(subscribers).secrets[0]!.name, 'orders');
});

test('the longest name that a configuration can make is served', () => {
  const source = 's'.repeat(128);
  const config = (inject: string) =>
    parseConfig(
      `{ version: 1, listen: { xds: "unix:///x.sock" }, sources: { ${source}: { file: { path: /t } } },
         outbound: [{ name: orders, match: { hosts: [orders] }, inject: { source: ${source}, ${inject} } }] }`,
      'bearerd.yaml',
    );
  const longest = '"'.repeat(256);
  for (const inject of [`prefix: '${longest}'`, `basic: { username: '${longest}' }`]) {
    const table = compilePolicies(config(inject), 'pod-1');
    secrets = createPushedSecrets({ store, policies: table, clock });
    const stream = openSotw();
    const name = table.policies[0]!.injection.headers[0]!.secretName;
    stream.receive(sotwRequest({ resourceNames: [name] }));
    assert.equal(stream.ended, undefined, `${name.length} characters`);
    assert.equal(only(stream.take()).resources.length, 1);
  }
});

test('a new credential is pushed with its prefix, a new version and a new nonce; its end pushes the empty secret', async () => {
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const first = only(stream.take());
  store.publish('orders', 'one');
  await settle();
  const second = only(stream.take());
  store.publish('orders', undefined);
  await settle();
  const third = only(stream.take());
  assert.deepEqual(
    [first, second, third].map((r) => valuesOf(r)[0]![1]),
    ['', 'Bearer one', ''],
  );
  assert.equal(new Set([first, second, third].map((r) => r.versionInfo)).size, 3);
  assert.equal(new Set([first, second, third].map((r) => r.nonce)).size, 3);
  for (const { versionInfo } of [first, second, third]) assert.match(versionInfo, /^\d+\.\d+(\.never)?$/);
});

const shareOf = (mode: string) =>
  compilePolicies(
    parseConfig(
      `{ version: 1, listen: { xds: "unix:///x.sock" }, sources: { orders: { file: { path: /t } } },
         outbound: [{ name: orders, match: { hosts: [orders] }, inject: { source: orders }, mode: ${mode} }] }`,
      'bearerd.yaml',
    ),
    'pod-1',
  );

test('a share is a secret of its own: told at once, moved by a new configuration, and no credential is it', async () => {
  secrets = createPushedSecrets({ store, policies: shareOf('{ percent: 0 }'), clock });
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['/share/orders'] }));
  assert.deepEqual(valuesOf(only(stream.take())), [['/share/orders', '']]);
  for (const [mode, told] of [
    ['{ percent: 100 }', 'in'],
    ['off', ''],
    ['enforce', 'in'],
    ['shadow', ''],
  ] as const) {
    secrets.usePolicies(shareOf(mode));
    await settle();
    assert.deepEqual(valuesOf(only(stream.take())), [['/share/orders', told]], mode);
    secrets.usePolicies(shareOf(mode));
    await settle();
    assert.deepEqual(stream.take(), [], 'the same again is not told again');
  }
  store.publish('orders', 'one');
  assert.equal(secrets.carriedSince('orders', 'orders'), undefined);
});

test('a pod that moves into the share carries the credential once Envoy has acknowledged that, too', async () => {
  secrets = createPushedSecrets({ store, policies: shareOf('{ percent: 0 }'), clock });
  store.publish('orders', 'one');
  const streams = ['orders', '/share/orders'].map((name) => {
    const stream = openSotw();
    stream.receive(sotwRequest({ resourceNames: [name] }));
    ack(stream, only(stream.take()), [name]);
    return stream;
  });
  secrets.usePolicies(shareOf('{ percent: 100 }'));
  await settle();
  const into = only(streams[1]!.take());
  assert.equal(secrets.carriedSince('orders', 'orders'), undefined, 'what the app sent, as before');
  await clock.advance(1_000);
  ack(streams[1]!, into, ['/share/orders']);
  assert.deepEqual(secrets.carriedSince('orders', 'orders'), { generation: 1, sinceEpochMs: clock.now() });
});

test('changes of one moment are one answer', async () => {
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders', 'legacy/'] }));
  stream.take();
  store.publish('orders', 'one');
  store.publish('legacy', 'key');
  await settle();
  assert.equal(valuesOf(only(stream.take())).length, 2);
});

test('a refused secret is told and not sent again; the next one is sent', async () => {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const refused = only(stream.take());
  for (let i = 0; i < 3; i++) ack(stream, refused, ['orders'], { versionInfo: '', errorDetail: error });
  await settle();
  assert.deepEqual(stream.take(), []);
  assert.deepEqual(recorded.named('secretRejected')[0], ['orders', refused.versionInfo, error.message, true]);
  assert.equal(secrets.carriedSince('orders'), undefined);
  store.publish('orders', 'two');
  await settle();
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', 'Bearer two']]);
});

test('what a peer refused it does not use, whatever other names it asks for with the same nonce', async () => {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const refused = only(stream.take());
  ack(stream, refused, ['orders'], { versionInfo: '', errorDetail: error });
  ack(stream, refused, ['orders', 'nobody'], { versionInfo: '' });
  assert.equal(secrets.carriedSince('orders'), undefined);
  assert.deepEqual(recorded.named('secretAcknowledged'), []);
  ack(stream, only(stream.take()), ['orders', 'nobody']);
  assert.equal(secrets.carriedSince('orders')?.generation, 1);
});

test('an answer with an old nonce is neither an ACK nor a change of names', async () => {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const first = only(stream.take());
  store.publish('orders', 'two');
  await settle();
  const second = only(stream.take());
  ack(stream, first, ['legacy/']);
  assert.deepEqual(stream.take(), []);
  assert.equal(secrets.carriedSince('orders'), undefined);
  ack(stream, second, ['orders']);
  assert.equal(secrets.carriedSince('orders')?.generation, 2);
});

test('other names give the full new set, and only followed secrets are pushed', async () => {
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  ack(stream, only(stream.take()), ['orders', 'legacy/']);
  const both = only(stream.take());
  assert.equal(both.resources.length, 2);
  ack(stream, both, ['legacy/']);
  const rest = only(stream.take());
  assert.deepEqual(valuesOf(rest), [['legacy/', '']]);
  assert.deepEqual(recorded.named('secretUnsubscribed'), [['orders', true]]);
  store.publish('orders', 'one');
  await settle();
  assert.deepEqual(stream.take(), []);
  ack(stream, rest, []);
  assert.deepEqual(stream.take(), []);
});

test('another type, too many names and a too long name end the stream', () => {
  for (const request of [
    sotwRequest({
      typeUrl: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
      resourceNames: ['orders'],
    }),
    sotwRequest({ resourceNames: Array.from({ length: 10_001 }, (_, i) => `n${i}`) }),
    sotwRequest({ resourceNames: ['x'.repeat(1_025)] }),
  ]) {
    const stream = openSotw();
    stream.receive(request);
    assert.ok(stream.ended!.code !== 0);
    assert.deepEqual(stream.take(), []);
  }
  assert.deepEqual(
    recorded.named('peerFault').map((event) => event[1]),
    ['wrong_type_url', 'too_many_names', 'too_many_names'],
  );
  assert.equal(recorded.named('secretSubscribed').length, recorded.named('secretUnsubscribed').length);
});

test('all streams together have 10,000 names; one that ends gives its own back', () => {
  const names = (from: number, count: number) => Array.from({ length: count }, (_, i) => `n${from + i}`);
  const [first, second, third] = [openSotw(), openSotw(), openSotw()] as const;
  first.receive(sotwRequest({ resourceNames: names(0, 6_000) }));
  second.receive(sotwRequest({ resourceNames: names(6_000, 6_000) }));
  assert.ok(second.ended!.code !== 0);
  assert.equal(first.ended, undefined);
  third.receive(sotwRequest({ resourceNames: names(6_000, 4_000) }));
  assert.equal(third.ended, undefined);
  for (const stream of [first, third]) stream.end();
  assert.equal(recorded.named('secretSubscribed').length, recorded.named('secretUnsubscribed').length);
});

test('a listener does not serve what is another listener’s', async () => {
  store.publish('orders', 'one');
  const stream = openSotw(['legacy']);
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', '']]);
  store.publish('orders', 'two');
  await settle();
  assert.deepEqual(stream.take(), []);
});

test('a secret counts as carried since the last ACK of all streams', async () => {
  const generation = store.publish('orders', 'one');
  const streams = [openSotw(), openSotw()];
  for (const stream of streams) stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const [a, b] = streams.map((stream) => only(stream.take()));
  assert.equal(secrets.carriedSince('orders'), undefined);
  ack(streams[0]!, a!, ['orders']);
  await clock.advance(30);
  assert.equal(secrets.carriedSince('orders'), undefined, 'one stream has not acknowledged');
  ack(streams[1]!, b!, ['orders']);
  assert.deepEqual(secrets.carriedSince('orders'), { generation, sinceEpochMs: clock.now() });
  const since = clock.now();
  await clock.advance(1_000);
  ack(streams[1]!, b!, ['orders']);
  assert.deepEqual(secrets.carriedSince('orders'), { generation, sinceEpochMs: since }, 'a repeated ACK');

  store.publish('orders', 'two');
  assert.equal(secrets.carriedSince('orders'), undefined, 'a newer one is under way');
  await settle();
  ack(streams[0]!, only(streams[0]!.take()), ['orders']);
  streams[1]!.end();
  assert.equal(secrets.carriedSince('orders')?.generation, generation + 1, 'a closed stream does not count');
  streams[0]!.end();
  assert.equal(secrets.carriedSince('orders'), undefined, 'nobody is left');
});

test('a clock that was set moves the last ACK with it: attempts are held against it by the clock of now', async () => {
  const generation = store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  ack(stream, only(stream.take()), ['orders']);
  await clock.advance(1_000);
  for (const hours of [-1, 2]) {
    clock.setWall(clock.now() + hours * 3_600_000);
    assert.deepEqual(secrets.carriedSince('orders'), { generation, sinceEpochMs: clock.now() - 1_000 });
  }
});

test('the empty secret carries nothing, acknowledged or not', () => {
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  ack(stream, only(stream.take()), ['orders']);
  assert.equal(secrets.carriedSince('orders'), undefined);
});

test('a secret is encoded once and shared, and the store is followed once', async () => {
  const streams = [openSotw(), openSotw(), openSotw()];
  for (const stream of streams) stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  store.publish('orders', 'one');
  await settle();
  const bytes = streams.map((stream) => stream.take().at(-1)!.resources[0]!.value);
  assert.ok(bytes.every((b) => b === bytes[0]));
  assert.equal(store.listenerCount('orders'), 1);
  secrets.close();
  assert.equal(store.listenerCount('orders'), 0);
});

test('versions of another process are never the same', () => {
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  clock.setWall(clock.now() + 1);
  secrets = createPushedSecrets({ store, policies, clock });
  const later = openSotw();
  later.receive(sotwRequest({ resourceNames: ['orders'] }));
  assert.notEqual(only(stream.take()).versionInfo, only(later.take()).versionInfo);
});

// --- delta

type Delta = FakeStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;
const openDelta = (): Delta => {
  const stream: Delta = new FakeStream();
  createDelta(deps())(stream);
  return stream;
};
const deltaRequest = (patch: Partial<DeltaDiscoveryRequest>): DeltaDiscoveryRequest => ({
  ...DeltaDiscoveryRequest.decode(new Uint8Array()),
  typeUrl: SECRET_TYPE_URL,
  ...patch,
});
const deltaValues = (response: DeltaDiscoveryResponse) =>
  response.resources.map(({ name, resource }) => {
    const [inner, value] = readSecret(resource!.value);
    assert.equal(name, inner);
    return [name, value];
  });

test('delta: names are answered at once, and later only what changed is sent', async () => {
  store.publish('legacy', 'key');
  const stream = openDelta();
  stream.receive(deltaRequest({ resourceNamesSubscribe: ['orders', 'legacy/', 'nobody'] }));
  assert.deepEqual(deltaValues(only(stream.take())), [
    ['orders', ''],
    ['legacy/', 'key'],
    ['nobody', ''],
  ]);
  store.publish('orders', 'one');
  await settle();
  assert.deepEqual(deltaValues(only(stream.take())), [['orders', 'Bearer one']]);
});

test('delta: verdicts belong to their nonce, in any order', async () => {
  store.publish('orders', 'one');
  const stream = openDelta();
  stream.receive(deltaRequest({ resourceNamesSubscribe: ['orders'] }));
  const first = only(stream.take());
  store.publish('orders', 'two');
  await settle();
  const second = only(stream.take());
  stream.receive(deltaRequest({ responseNonce: first.nonce }));
  assert.equal(secrets.carriedSince('orders'), undefined);
  stream.receive(deltaRequest({ responseNonce: second.nonce }));
  assert.equal(secrets.carriedSince('orders')?.generation, 2);
  stream.receive(deltaRequest({ responseNonce: 'never sent' }));
  assert.deepEqual(stream.take(), []);
});

test('delta: a refused secret is told once and not sent again; the next one is sent', async () => {
  store.publish('orders', 'one');
  const stream = openDelta();
  stream.receive(deltaRequest({ resourceNamesSubscribe: ['orders'] }));
  const { nonce } = only(stream.take());
  for (let i = 0; i < 3; i++) stream.receive(deltaRequest({ responseNonce: nonce, errorDetail: error }));
  await settle();
  assert.deepEqual(stream.take(), []);
  assert.equal(recorded.named('secretRejected').length, 1);
  store.publish('orders', 'two');
  await settle();
  assert.deepEqual(deltaValues(only(stream.take())), [['orders', 'Bearer two']]);
});

test('delta: after an unsubscribe nothing comes, after another subscribe the secret does, unchanged or not', async () => {
  store.publish('orders', 'one');
  const stream = openDelta();
  stream.receive(deltaRequest({ resourceNamesSubscribe: ['orders'] }));
  stream.take();
  stream.receive(deltaRequest({ resourceNamesUnsubscribe: ['orders'] }));
  store.publish('orders', 'two');
  await settle();
  assert.deepEqual(stream.take(), []);
  for (let i = 0; i < 2; i++) {
    stream.receive(deltaRequest({ resourceNamesSubscribe: ['orders'] }));
    assert.deepEqual(deltaValues(only(stream.take())), [['orders', 'Bearer two']]);
  }
});

test('delta: a reconnecting Envoy gets what it has not, and what it has counts as carried', () => {
  const generation = store.publish('orders', 'one');
  const before = openDelta();
  before.receive(deltaRequest({ resourceNamesSubscribe: ['orders'] }));
  const { version } = only(only(before.take()).resources);
  before.end();

  const same = openDelta();
  const initialResourceVersions = new Map([['orders', version]]);
  same.receive(deltaRequest({ resourceNamesSubscribe: ['orders'], initialResourceVersions }));
  assert.deepEqual(same.take(), []);
  assert.equal(secrets.carriedSince('orders')?.generation, generation);
  same.end();

  store.publish('orders', 'two');
  const older = openDelta();
  older.receive(deltaRequest({ resourceNamesSubscribe: ['orders'], initialResourceVersions }));
  assert.deepEqual(deltaValues(only(older.take())), [['orders', 'Bearer two']]);
});

/** As after a restart: another process, with no credential yet, and an Envoy that has one of the process before. */
async function afterRestart(usableUntil: number): Promise<string> {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  const version = only(stream.take()).versionInfo.replace(/never$/, String(usableUntil / 1_000));
  stream.end();
  store = new FakeStore();
  await clock.advance(1_000);
  secrets = createPushedSecrets({ store, policies, clock });
  return version;
}

test('a reconnecting Envoy keeps the secret of the process before until this one has a credential', async () => {
  const version = await afterRestart(clock.now() + 60_000);
  const sotw = openSotw();
  sotw.receive(sotwRequest({ resourceNames: ['orders'], versionInfo: version }));
  const delta = openDelta();
  const initialResourceVersions = new Map([['orders', version]]);
  delta.receive(deltaRequest({ resourceNamesSubscribe: ['orders'], initialResourceVersions }));
  await settle();
  assert.deepEqual([sotw.take(), delta.take()], [[], []]);
  store.publish('orders', 'two');
  await settle();
  assert.deepEqual(valuesOf(only(sotw.take())), [['orders', 'Bearer two']]);
  assert.deepEqual(deltaValues(only(delta.take())), [['orders', 'Bearer two']]);
  store.publish('orders', undefined);
  await settle();
  assert.deepEqual(valuesOf(only(sotw.take())), [['orders', '']], 'what this process had and lost is empty');
});

test('… and not past its end, not when no policy names it any more, and not where nothing was in it', async () => {
  const version = await afterRestart(clock.now() + 60_000);
  const open = (versionInfo: string, resourceNames = ['orders']) => {
    const stream = openSotw();
    stream.receive(sotwRequest({ resourceNames, versionInfo }));
    return stream;
  };
  const held = open(version);
  for (const other of ['', 'garbage', version.replace(/\.\d+$/, ''), version.replace(/\d+$/, '1')])
    assert.deepEqual(valuesOf(only(open(other).take())), [['orders', '']], other);
  assert.equal(open(version, ['orders', 'legacy']).take().length, 1, 'one version says nothing of two names');
  await clock.advance(58_000);
  await settle();
  assert.deepEqual(held.take(), []);
  await clock.advance(3_000);
  await settle();
  assert.deepEqual(valuesOf(only(held.take())), [['orders', '']]);
  const again = open(await afterRestart(clock.now() + 60_000));
  secrets.usePolicies(fakePolicies([]));
  await settle();
  assert.deepEqual(valuesOf(only(again.take())), [['orders', '']]);
});

test('… and no longer because the clock was set back', async () => {
  const version = await afterRestart(clock.now() + 60_000);
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'], versionInfo: version }));
  clock.setWall(clock.now() - 3_600_000);
  await clock.advance(58_000);
  await settle();
  assert.deepEqual(stream.take(), []);
  await clock.advance(3_000);
  await settle();
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', '']]);
});

// --- other policies while streams are open

test('a name that no policy has any more becomes empty, and is served again when one has it', async () => {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', 'Bearer one']]);
  secrets.usePolicies(fakePolicies([]));
  await settle();
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', '']]);
  secrets.usePolicies(policies);
  await settle();
  assert.deepEqual(valuesOf(only(stream.take())), [['orders', 'Bearer one']]);
});

test('a name that Envoy asked for before any policy had it is served once one has it', async () => {
  store.publish('late', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['late'] }));
  assert.deepEqual(valuesOf(only(stream.take())), [['late', '']]);
  secrets.usePolicies(fakePolicies([{ name: 'late', host: 'late' }]));
  await settle();
  assert.deepEqual(valuesOf(only(stream.take())), [['late', 'Bearer one']]);
});

test('whether a policy has a name is told anew when that changes', async () => {
  const [sotw, delta] = [openSotw(), openDelta()];
  sotw.receive(sotwRequest({ resourceNames: ['orders'] }));
  delta.receive(deltaRequest({ resourceNamesSubscribe: ['late'] }));
  const told = () => recorded.events.splice(0).filter(([what]) => /^secret(Uns|S)ubscribed$/.test(what));
  assert.deepEqual(told(), [
    ['secretSubscribed', 'orders', true],
    ['secretSubscribed', 'late', false],
  ]);
  secrets.usePolicies(fakePolicies([{ name: 'late', host: 'late' }]));
  assert.deepEqual(told(), [
    ['secretUnsubscribed', 'orders', true],
    ['secretSubscribed', 'orders', false],
    ['secretUnsubscribed', 'late', false],
    ['secretSubscribed', 'late', true],
  ]);
  store.publish('late', 'one');
  sotw.end();
  delta.end();
  assert.deepEqual(told(), [
    ['secretUnsubscribed', 'orders', false],
    ['secretUnsubscribed', 'late', true],
  ]);
});

test('policies that keep a name push nothing', async () => {
  store.publish('orders', 'one');
  const stream = openSotw();
  stream.receive(sotwRequest({ resourceNames: ['orders'] }));
  stream.take();
  secrets.usePolicies(policies);
  await settle();
  assert.deepEqual(stream.take(), []);
});
