// Access logs over a real socket: what reaches the store.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { createApp } from '../../src/app/app.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { createAccessLogService } from '../../src/doors/feedback/access-log-service.ts';
import { createAttemptOutcomes } from '../../src/doors/feedback/attempt-outcomes.ts';
import { createNonces } from '../../src/doors/feedback/nonces.ts';
import type { HTTPAccessLogEntry } from '../../src/gen/envoy/data/accesslog/v3/accesslog.ts';
import {
  StreamAccessLogsMessage,
  StreamAccessLogsResponse,
} from '../../src/gen/envoy/service/accesslog/v3/als.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseRuntime } from '../../src/lib/runtime.ts';
import type { Front } from '../../src/server/front.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { createMetrics } from '../../src/telemetry/metrics-observer.ts';
import { checkEntry, pushEntry } from '../support/access-log-entry.ts';
import { fakePolicies } from '../support/fake-policies.ts';
import { FakeStore } from '../support/fake-store.ts';
import { type ClientStream, openStream } from '../support/grpc-stream.ts';
import { createRecordingObserver, type RecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const PATH = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
const ACKED_AT = 1_700_000_000_000;
const SECRET_PATH = '/v1/orders?session=canary-in-the-path';

const message = (entries: readonly HTTPAccessLogEntry[], logName?: string): StreamAccessLogsMessage => ({
  identifier: logName === undefined ? undefined : { logName },
  logEntries: { $case: 'httpLogs', httpLogs: { logEntry: [...entries] } },
});

describe('AccessLogService', () => {
  const sockets = createSocketFolder();
  let store: FakeStore;
  let recorded: RecordingObserver;
  let server: Front;
  let client: grpc.Client;
  let count = 0;
  const open = (): ClientStream<StreamAccessLogsMessage, StreamAccessLogsResponse> =>
    openStream(client, PATH, StreamAccessLogsMessage, StreamAccessLogsResponse);
  const arrived = (events: number) =>
    until(`${events} entries`, () => recorded.named('refusalSeen').length >= events);
  const refused = (patch = {}) => pushEntry({ startedAt: ACKED_AT + 60, path: SECRET_PATH, ...patch });

  beforeEach(async () => {
    client?.close();
    await server?.drain(50);
    store = new FakeStore();
    recorded = createRecordingObserver();
    server = createRawFront(new Map(), {
      name: 'xds',
      observer: recorded.observer,
      maxMessageBytes: 1 << 20,
      streams: [
        createAccessLogService('xds', {
          store,
          policies: fakePolicies([{ name: 'orders', host: 'orders.example.com', path: '/v1/' }]),
          acknowledgements: { carriedSince: () => ({ generation: 4, sinceEpochMs: ACKED_AT }) },
          carried: {
            find: (id, authority, method, path) =>
              id === 'id-1' && authority === 'orders.example.com' && method === 'GET' && path === SECRET_PATH
                ? { source: 'orders', generation: 3 }
                : undefined,
          },
          attempted: { find: () => undefined },
          outcomes: createAttemptOutcomes(systemClock),
          refusals: { refused: () => {}, refusedOn: () => {} },
          nonces: createNonces(),
          observer: recorded.observer,
          clock: systemClock,
        }),
      ],
    });
    const address = await server.listen(sockets.address(`als${++count}.sock`));
    client = new grpc.Client(address, grpc.credentials.createInsecure());
  });
  after(async () => {
    client.close();
    await server.drain(50);
    sockets.remove();
  });

  test('only the first message names the log; a refused attempt of the push door reaches the store', async () => {
    const stream = open();
    stream.send(message([refused()], 'bearerd_push'));
    stream.send(
      message([refused({ requestId: 'b' }), refused({ status: 403 }), refused({ path: '/login' })]),
    );
    await arrived(3);
    assert.deepEqual(
      store.refusals.map(({ source, generation }) => [source, generation]),
      [
        ['orders', 4],
        ['orders', 4],
      ],
    );
    assert.equal(new Set(store.refusals.map((r) => r.requestKey)).size, 2, 'two requests');
    assert.deepEqual(recorded.named('refusalSeen').at(-1), ['push', 'orders', 'not_ours']);
    stream.cancel();
  });

  test('attempts of one request have one key, requests that share an id but not a path have two', async () => {
    const stream = open();
    stream.send(
      message(
        [
          refused({ requestId: 'a' }),
          refused({ requestId: 'a', startedAt: ACKED_AT + 90 }),
          refused({ requestId: 'a', path: '/v1/other' }),
        ],
        'bearerd_push',
      ),
    );
    await arrived(3);
    const [a, again, other] = store.refusals.map((r) => r.requestKey);
    assert.equal(a, again);
    assert.notEqual(a, other);
    stream.cancel();
  });

  test('the check door’s log asks the ring', async () => {
    const stream = open();
    stream.send(message([checkEntry({ path: SECRET_PATH }), checkEntry()], 'bearerd_check'));
    await arrived(2);
    assert.deepEqual(
      store.refusals.map(({ source, generation }) => [source, generation]),
      [['orders', 3]],
    );
    stream.cancel();
  });

  test('malformed entries are counted, and the stream goes on', async () => {
    const stream = open();
    const nothing = { commonProperties: undefined, request: undefined, response: undefined };
    stream.send(message([nothing, refused({ tags: {} })], 'bearerd_push'));
    stream.send(message([refused()]));
    await arrived(3);
    assert.deepEqual(
      recorded.named('refusalSeen').map((event) => event[2]),
      ['malformed', 'malformed', 'counted'],
    );
    assert.equal(store.refusals.length, 1);
    stream.cancel();
  });

  test('an unknown or missing log name ends the stream', async () => {
    for (const first of [message([refused()], 'other'), message([refused()])]) {
      const stream = open();
      stream.send(first);
      assert.equal((await stream.status).code, grpc.status.INVALID_ARGUMENT);
    }
    assert.equal(store.refusals.length, 0);
  });

  test('the work of one message is bounded', async () => {
    const stream = open();
    stream.send(
      message(
        Array.from({ length: 1_500 }, () => refused()),
        'bearerd_push',
      ),
    );
    await arrived(1_000);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(recorded.named('refusalSeen').length, 1_000);
    assert.deepEqual(recorded.named('peerFault'), [['xds', 'too_many_log_entries']]);
    stream.cancel();
  });

  test('no path goes anywhere', async () => {
    const stream = open();
    stream.send(message([refused()], 'bearerd_push'));
    await arrived(1);
    assert.doesNotMatch(JSON.stringify([recorded.events, store.refusals]), /canary/);
    stream.cancel();
  });
});

test('entries are judged by the policies in force, also after a reload', async (t) => {
  const sockets = createSocketFolder();
  t.after(() => sockets.remove());
  writeFileSync(join(sockets.folder, 'token'), 'token-one', { mode: 0o600 });
  const configOf = (host: string) =>
    parseConfig(
      `version: 1
mode: development
access_log: full
listen: { check: 'unix://${sockets.folder}/check.sock', xds: 'unix://${sockets.folder}/xds.sock' }
sources: { orders: { file: { path: token } } }
outbound: [{ name: orders, match: { hosts: [${host}] }, inject: { source: orders } }]
`,
      join(sockets.folder, 'bearerd.yaml'),
    );
  const metrics = createMetrics(systemClock);
  const app = await createApp(configOf('before.example.com'), {
    ...{ clock: systemClock, env: {}, random: Math.random, version: 'test', metrics },
    runtime: parseRuntime({}, process.versions.node, true),
    log: { write: () => {} },
  });
  t.after(() => app.stop(0));
  const { check, xds } = await app.start();
  for (const host of ['before.example.com', 'after.example.com']) {
    assert.ok(await app.reload(async () => configOf(host)));
    for (const address of [check!, ...xds]) {
      const client = new grpc.Client(address, grpc.credentials.createInsecure());
      const stream = openStream(client, PATH, StreamAccessLogsMessage, StreamAccessLogsResponse);
      const counted = /^bearerd_requests_total\{policy="orders",.*status="4xx".*\} (\d+)$/m;
      const before = Number(counted.exec(await metrics.render())?.[1] ?? 0);
      stream.send(message([checkEntry({ status: 404, authority: host })], 'bearerd_requests'));
      const count = async () => Number(counted.exec(await metrics.render())?.[1] ?? 0);
      await until(`${host} on ${address} is of a policy`, async () => (await count()) > before);
      stream.cancel();
      client.close();
    }
  }
});
