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
import { startedWorld } from '../support/world.ts';

const PATH = '/v1/Echo';
const same = (bytes: Buffer) => bytes;

test('a real grpc-js upstream answering UNAUTHENTICATED is healed inside the call', async (t) => {
  const revoked = new Set<string>();
  let last = '';
  let refused = 0;
  const server = new Server();
  server.addService(
    {
      [PATH]: {
        path: PATH,
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    {
      [PATH](
        call: { metadata: Metadata; request: Buffer },
        done: (error: Partial<ServiceError> | null, value?: Buffer) => void,
      ) {
        const [value] = call.metadata.get('authorization') as string[];
        if (value === undefined || !value.startsWith('Bearer ') || revoked.has(value)) {
          refused++;
          return done({ code: status.UNAUTHENTICATED, details: 'no' });
        }
        last = value;
        done(null, call.request);
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
  const call = () =>
    new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(
        PATH,
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
});
