// SDS over a real socket and a real grpc-js client.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { createPushedSecrets, type PushedSecrets } from '../../src/doors/push/pushed-secrets.ts';
import { createSecretDiscovery } from '../../src/doors/push/secret-discovery.ts';
import { SECRET_TYPE_URL } from '../../src/doors/push/secret-resource.ts';
import { Secret } from '../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
  DiscoveryRequest,
  DiscoveryResponse,
} from '../../src/gen/envoy/service/discovery/v3/discovery.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Front } from '../../src/server/front.ts';
import { frameMessage } from '../../src/server/grpc-wire.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { fakePolicies } from '../support/fake-policies.ts';
import { FakeStore } from '../support/fake-store.ts';
import { openStream } from '../support/grpc-stream.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const SERVICE = '/envoy.service.secret.v3.SecretDiscoveryService';
const policies = fakePolicies([{ name: 'orders', host: 'orders' }]);
const sotw = (patch: Partial<DiscoveryRequest>): DiscoveryRequest => ({
  ...DiscoveryRequest.decode(new Uint8Array()),
  typeUrl: SECRET_TYPE_URL,
  ...patch,
});
const delta = (patch: Partial<DeltaDiscoveryRequest>): DeltaDiscoveryRequest => ({
  ...DeltaDiscoveryRequest.decode(new Uint8Array()),
  typeUrl: SECRET_TYPE_URL,
  ...patch,
});
const token = (bytes: Uint8Array) => Secret.decode(bytes).type!.genericSecret.secret!.specifier!.inlineString;

describe('SecretDiscoveryService', () => {
  const sockets = createSocketFolder();
  const recorded = createRecordingObserver();
  const store = new FakeStore();
  let secrets: PushedSecrets;
  let server: Front;
  let address: string;
  let client: grpc.Client;
  const create = () =>
    createRawFront(new Map(), {
      name: 'xds',
      observer: recorded.observer,
      maxMessageBytes: 1 << 20,
      maxConcurrentStreams: 10_000,
      streams: createSecretDiscovery({
        secrets,
        observer: recorded.observer,
        name: 'xds',
        allowedSources: undefined,
      }),
    });
  const openSotw = () => openStream(client, `${SERVICE}/StreamSecrets`, DiscoveryRequest, DiscoveryResponse);
  const openDelta = () =>
    openStream(client, `${SERVICE}/DeltaSecrets`, DeltaDiscoveryRequest, DeltaDiscoveryResponse);

  before(async () => {
    secrets = createPushedSecrets({ store, policies, clock: systemClock });
    server = create();
    address = await server.listen(sockets.address('xds.sock'));
    client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      'grpc.max_reconnect_backoff_ms': 100,
      'grpc.initial_reconnect_backoff_ms': 50,
    });
  });
  after(async () => {
    client.close();
    await server.drain(100);
    sockets.remove();
  });

  test('an unknown name and one without a credential are answered at once, with the empty string on the wire', async () => {
    const stream = openSotw();
    const begun = performance.now();
    stream.send(sotw({ resourceNames: ['nobody', 'orders'] }));
    const { resources } = await stream.next();
    assert.ok(performance.now() - begun < 2_000);
    for (const { typeUrl, value } of resources) {
      assert.equal(typeUrl, SECRET_TYPE_URL);
      assert.match(Buffer.from(value).toString('hex'), /2a040a021a00$/);
    }
    stream.cancel();
  });

  test('state of the world: push, NACK without a hot loop, the next one, and its end as the empty secret', async () => {
    const stream = openSotw();
    stream.send(sotw({ resourceNames: ['orders'] }));
    const empty = await stream.next();
    store.publish('orders', 'one');
    const first = await stream.next();
    assert.equal(token(first.resources[0]!.value), 'Bearer one');
    stream.send(
      sotw({
        resourceNames: ['orders'],
        versionInfo: empty.versionInfo,
        responseNonce: first.nonce,
        errorDetail: { code: 13, message: 'no' },
      }),
    );
    await stream.silence(150);
    store.publish('orders', 'two');
    const second = await stream.next();
    assert.equal(token(second.resources[0]!.value), 'Bearer two');
    stream.send(
      sotw({ resourceNames: ['orders'], versionInfo: second.versionInfo, responseNonce: second.nonce }),
    );
    await until('acknowledged', () => secrets.carriedSince('orders')?.generation === 2);
    await stream.silence(50);
    store.publish('orders', undefined);
    assert.equal(token((await stream.next()).resources[0]!.value), '');
    stream.cancel();
  });

  test('delta: push, and after a reconnect only what is newer', async () => {
    store.publish('orders', 'three');
    const stream = openDelta();
    stream.send(delta({ resourceNamesSubscribe: ['orders'] }));
    const { resources } = await stream.next();
    assert.equal(token(resources[0]!.resource!.value), 'Bearer three');
    stream.cancel();
    const initialResourceVersions = new Map([['orders', resources[0]!.version]]);
    const again = openDelta();
    again.send(delta({ resourceNamesSubscribe: ['orders'], initialResourceVersions }));
    await again.silence(100);
    store.publish('orders', 'four');
    assert.equal(token((await again.next()).resources[0]!.resource!.value), 'Bearer four');
    again.cancel();
  });

  test('a stream that goes away without a word is unsubscribed', async () => {
    const stream = openSotw();
    stream.send(sotw({ resourceNames: ['orders'] }));
    await stream.next();
    stream.cancel();
    const count = (what: 'secretSubscribed' | 'secretUnsubscribed') => recorded.named(what).length;
    await until('all unsubscribed', () => count('secretUnsubscribed') === count('secretSubscribed'));
    assert.equal(secrets.carriedSince('orders'), undefined);
  });

  test('100 streams of one Envoy all get the new secret', async () => {
    const streams = Array.from({ length: 100 }, openSotw);
    for (const stream of streams) stream.send(sotw({ resourceNames: ['orders'] }));
    await Promise.all(streams.map((stream) => stream.next()));
    store.publish('orders', 'for all');
    for (const { resources } of await Promise.all(streams.map((stream) => stream.next()))) {
      assert.equal(token(resources[0]!.value), 'Bearer for all');
    }
    for (const stream of streams) stream.cancel();
  });

  /** What grpc-js hides: the connection itself. */
  function openRaw() {
    const path = address.slice('unix://'.length);
    const session = http2.connect('http://localhost', { createConnection: () => connect(path) });
    session.on('error', () => {});
    return {
      session,
      ask() {
        const head = { ':method': 'POST', ':path': `${SERVICE}/StreamSecrets`, te: 'trailers' };
        const stream = session.request({ ...head, 'content-type': 'application/grpc' }, { endStream: false });
        stream.on('error', () => {});
        stream.write(frameMessage(DiscoveryRequest.encode(sotw({ resourceNames: ['orders'] })).finish()));
        return stream;
      },
    };
  }

  test('a peer that does not read what it is sent is cut off, and not kept in memory', async () => {
    const { session, ask } = openRaw();
    ask().pause();
    const known = () => recorded.named('secretSubscribed').length;
    for (const before = known(); known() === before; ) await nextTurn();
    const token = 'x'.repeat(16_000);
    let pushed = 0;
    while (recorded.named('peerFault').length === 0 && pushed < 64 << 20) {
      store.publish('orders', token);
      pushed += token.length;
      await nextTurn();
    }
    assert.deepEqual(recorded.named('peerFault'), [['xds', 'slow_reader']]);
    if (!session.closed) await once(session, 'close');
    assert.ok(pushed < 20 << 20, `${pushed} bytes`);
    store.publish('orders', 'for all');
  });

  test('an Envoy that ends 1,500 subscriptions at once keeps its connection', async () => {
    const { session, ask } = openRaw();
    const streams = Array.from({ length: 1_500 }, () => ask().resume());
    await Promise.all(streams.map((stream) => once(stream, 'response')));
    for (const stream of streams) stream.close(http2.constants.NGHTTP2_CANCEL);
    await once(ask(), 'data');
    assert.equal(session.closed, false);
    session.destroy();
  });

  test('broken bytes, a message above the limit and another type end the stream with fixed text', async () => {
    const broken = openSotw();
    broken.sendBytes(Uint8Array.of(0x0a, 0x7f, 1));
    assert.deepEqual(await broken.status, {
      code: grpc.status.INVALID_ARGUMENT,
      details: 'malformed message',
    });
    const large = openSotw();
    large.sendBytes(new Uint8Array((1 << 20) + 1));
    assert.equal((await large.status).code, grpc.status.RESOURCE_EXHAUSTED);
    const typed = openSotw();
    typed.send(sotw({ typeUrl: 'type.googleapis.com/envoy.config.listener.v3.Listener' }));
    assert.equal((await typed.status).code, grpc.status.INVALID_ARGUMENT);
  });

  test('a drain ends open streams as UNAVAILABLE at once, and a new server on the same socket serves them again', async () => {
    const stream = openSotw();
    stream.send(sotw({ resourceNames: ['orders'] }));
    const before = await stream.next();
    const begun = performance.now();
    await server.drain(10_000);
    assert.equal((await stream.status).code, grpc.status.UNAVAILABLE);
    assert.ok(performance.now() - begun < 8_000, 'not only after the grace');
    secrets = createPushedSecrets({ store, policies, clock: systemClock });
    server = create();
    await server.listen(sockets.address('xds.sock'));
    const again = openStream(client, `${SERVICE}/StreamSecrets`, DiscoveryRequest, DiscoveryResponse);
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + 30_000, (error) => (error ? reject(error) : resolve())),
    );
    again.cancel();
    const fresh = openSotw();
    fresh.send(sotw({ resourceNames: ['orders'], versionInfo: before.versionInfo }));
    const after = await fresh.next();
    assert.equal(token(after.resources[0]!.value), 'Bearer for all');
    assert.notEqual(after.versionInfo, before.versionInfo);
    fresh.cancel();
  });
});
