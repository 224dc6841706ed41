// What else goes through Envoy's router: upgrades, gRPC streams, mirrored and hedged requests, through the attempt door.
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, credentials, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { parse, stringify } from 'yaml';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';
import { listening, startUpstream } from '../support/loopback.ts';
import { until } from '../support/until.ts';

const SOURCES = '  orders: { static: { value: { inline: token } } }';
const policy = 'heal_on: 401';

// biome-ignore lint/suspicious/noExplicitAny: a parsed Envoy document
type Any = any;

function changed(change: (resources: Any, manager: Any, route: Any) => void) {
  return (bootstrap: string): string => {
    const document = parse(bootstrap);
    const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
    const route = manager.route_config.virtual_hosts[0].routes[0].route;
    change(document.static_resources, manager, route);
    return stringify(document);
  };
}

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: a websocket carries the credential and then whatever it likes`, async (t) => {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer().on('upgrade', (request, socket) => {
      seen.push(request.headers);
      socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n');
      socket.on('data', (data: Buffer) => socket.write(`echo ${data}`));
      socket.on('error', () => {});
      t.after(() => socket.destroy());
    });
    const gateway = await startGateway(t, {
      sources: SOURCES,
      policy,
      upstreamPort: await listening(t, server),
    });
    const { url } = await gateway.startEnvoy('attempt', {
      version,
      change: changed((_, manager) => {
        manager.upgrade_configs = [{ upgrade_type: 'websocket' }];
      }),
    });
    const app = connect(Number(new URL(url).port), '127.0.0.1');
    t.after(() => app.destroy());
    let received = '';
    const until = async (text: string) => {
      for (let i = 0; !received.includes(text); i++) {
        assert.ok(i < 1_500, `${text} did not come: ${received}`);
        await sleep(20);
      }
    };
    app.on('data', (data: Buffer) => {
      received += data;
    });
    app.write(
      'GET /ws HTTP/1.1\r\nhost: orders.example.com\r\nupgrade: websocket\r\nconnection: Upgrade\r\nauthorization: Bearer of-the-app\r\n\r\n',
    );
    await until('101 Switching Protocols');
    app.write('one');
    await until('echo one');
    app.write('two');
    await until('echo two');
    assert.deepEqual(
      seen.map(({ authorization }) => authorization),
      ['Bearer token'],
    );
  });

  // The check door acts before the copy is made.
  const COPIES = { check: 'Bearer token', push: undefined, attempt: undefined } as const;
  for (const door of ['check', 'push', 'attempt'] as const) {
    test(`Envoy ${version}, ${door}: a mirrored request ${COPIES[door] ? 'carries the credential' : 'gets no credential, and no copy of one'}`, async (t) => {
      const mirrored: IncomingHttpHeaders[] = [];
      const mirror = await startUpstream(t, (request, response) => {
        mirrored.push(request.headers);
        response.end();
      });
      const gateway = await startGateway(t, { sources: SOURCES, policy });
      const { send } = await gateway.startEnvoy(door, {
        version,
        // Also to a cluster with the filter and the mark: asking it for the connection of a mirrored request kills Envoy.
        change: changed(({ clusters }, _, route) => {
          const marked = structuredClone(clusters.find(({ name }: Any) => name === route.cluster));
          marked.name = marked.load_assignment.cluster_name = 'mirror';
          marked.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value =
            mirror;
          clusters.push(marked);
          route.request_mirror_policies = [{ cluster: 'mirror' }];
        }),
      });
      for (let i = 0; i < 5; i++) {
        const { body } = await send('/v1/orders');
        assert.equal(JSON.parse(body).authorization, 'Bearer token');
      }
      await until('five copies', () => mirrored.length >= 5);
      assert.deepEqual(
        mirrored.map(({ host, authorization }) => [host, authorization]),
        Array.from({ length: 5 }, () => ['orders.example.com-shadow', COPIES[door]]),
      );
    });
  }

  test(`Envoy ${version}: a hedged second attempt waits for evidence no longer than 50 ms`, async (t) => {
    const seen: (string | undefined)[] = [];
    const gateway = await startGateway(t, {
      sources: SOURCES,
      policy,
      upstream(request, response) {
        seen.push(request.headers.authorization);
        setTimeout(() => response.end(), seen.length === 1 ? 6_000 : 0).unref();
      },
    });
    const { send } = await gateway.startEnvoy('attempt', {
      version,
      change: changed((_, __, route) => {
        route.hedge_policy = { hedge_on_per_try_timeout: true };
        route.retry_policy.per_try_timeout = '0.3s';
        route.retry_policy.retry_on += ',5xx';
      }),
    });
    const { status, ms } = await send('/v1/orders');
    t.diagnostic(`answered in ${ms.toFixed(0)} ms (300 of them the first attempt's)`);
    assert.equal(status, 200);
    assert.ok(ms < 4_000, `${ms} ms`);
    assert.deepEqual(seen, ['Bearer token', 'Bearer token']);
    assert.match(await gateway.metrics(), /bearerd_feedback_late_total\{policy="orders"\} 1/);
  });
}

test('gRPC: a stream that is refused before its first answer is healed, with the messages that were sent by then', async (t) => {
  const refused = new Set<string>();
  const seen: string[] = [];
  const bytes = (value: Buffer) => value;
  const methods = { path: '/x.Y/Echo', requestStream: true, responseStream: true };
  const codec = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  const server = new Server();
  server.addService(
    { echo: { ...methods, ...codec } },
    {
      echo(call: Any) {
        const [value] = call.metadata.get('authorization') as string[];
        seen.push(value!);
        if (refused.has(value!)) {
          call.emit('error', { code: status.UNAUTHENTICATED, details: 'revoked' });
          return;
        }
        call.on('data', (message: Buffer) => call.write(message));
        call.on('end', () => call.end());
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  t.after(() => server.forceShutdown());
  // A program that numbers its tokens: renewed, it gives the next one.
  const gateway = await startGateway(t, {
    sources: '  orders: { required: true, exec: { command: [FOLDER/token] } }',
    files: {
      token: `#!/bin/sh
echo x >> FOLDER/calls
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"t'$(wc -l < FOLDER/calls | tr -d ' ')'"}}'
`,
    },
    policy,
    upstreamPort: port,
  });
  await gateway.ready();
  const { url } = await gateway.startEnvoy('attempt');
  const client = new Client(new URL(url).host, credentials.createInsecure(), {
    'grpc.default_authority': 'orders.example.com',
  });
  t.after(() => client.close());
  const echoed = () =>
    new Promise<string[]>((resolve, reject) => {
      const call = client.makeBidiStreamRequest(methods.path, bytes, bytes, new Metadata(), {
        deadline: Date.now() + 20_000,
      });
      const got: string[] = [];
      call.on('data', (message: Buffer) => {
        got.push(String(message));
        if (got.length === 3) call.end();
      });
      call.on('error', reject);
      call.on('end', () => resolve(got));
      for (const text of ['a', 'b', 'c']) call.write(Buffer.from(text));
    });
  assert.deepEqual(await echoed(), ['a', 'b', 'c']);
  refused.add('Bearer t1');
  assert.deepEqual(await echoed(), ['a', 'b', 'c']);
  assert.deepEqual(seen, ['Bearer t1', 'Bearer t1', 'Bearer t2']);
});
