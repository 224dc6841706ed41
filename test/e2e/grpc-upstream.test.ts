// A gRPC upstream refuses with HTTP 200 and grpc-status 16 (M16): the same call is healed all the same.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { ORDERS } from '../../demo/world.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

const PATH = '/v1/Echo';
/** Answers with headers before it refuses. */
const LATE = '/v1/Late';
const same = (bytes: Buffer) => bytes;

interface Call {
  readonly metadata: Metadata;
  readonly request: Buffer;
  sendMetadata(metadata: Metadata): void;
}
type Done = (error: Partial<ServiceError> | null, value?: Buffer) => void;

test('a real grpc-js upstream answering UNAUTHENTICATED is healed inside the call', async (t) => {
  const revoked = new Set<string>();
  let last = '';
  let refused = 0;
  const server = new Server();
  const answer = (call: Call, done: Done): void => {
    const [value] = call.metadata.get('authorization') as string[];
    if (value === undefined || !value.startsWith('Bearer ') || revoked.has(value)) {
      refused++;
      return done({ code: status.UNAUTHENTICATED, details: 'no' });
    }
    last = value;
    done(null, call.request);
  };
  const method = (path: string) => ({
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  server.addService(
    { [PATH]: method(PATH), [LATE]: method(LATE) },
    {
      [PATH]: (call: Call, done: Done) => answer(call, done),
      [LATE](call: Call, done: Done) {
        call.sendMetadata(new Metadata());
        answer(call, done);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.after(() => server.forceShutdown());
  const world = await startedWorld(t, { upstreamPort: port });
  await world.ready();
  const { url } = await world.startEnvoy('push');
  const client = new Client(url.replace('http://', ''), credentials.createInsecure(), {
    'grpc.default_authority': ORDERS,
  });
  t.after(() => client.close());
  const call = (path = PATH) =>
    new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(
        path,
        same,
        same,
        Buffer.from('hello'),
        new Metadata(),
        { deadline: Date.now() + 10_000 },
        (error, value) => (error ? reject(error) : resolve(value!)),
      ),
    );

  assert.equal(String(await call()), 'hello');
  await sleep(200);
  revoked.add(last);
  const begun = performance.now();
  assert.equal(String(await call()), 'hello');
  t.diagnostic(`healed in ${(performance.now() - begun).toFixed(0)} ms, ${refused} refused attempts`);
  assert.ok(refused >= 1);
  assert.equal(world.provider.tokenCalls, 2);

  // Told behind the headers nothing is sent again: counted, and the next call is healed.
  await sleep(200);
  revoked.add(last);
  await assert.rejects(call(LATE), { code: status.UNAUTHENTICATED });
  await until('the renewal', () => world.provider.tokenCalls === 3);
  const counted = 'bearerd_refusals_in_trailers_total{door="push",source="orders"} 1';
  assert.ok((await world.metrics()).includes(counted));
  await until('the next call', async () => String(await call(LATE).catch(() => '')) === 'hello');
});
