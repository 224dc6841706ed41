// What Envoy does to the front on a bad day: clients that leave while their Check waits, and a bearerd that stands still
// for seconds. Neither looks like an attack, neither costs a connection, nothing of it stays behind.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHECK_PATH } from '../../src/doors/check/check.ts';
import { bearerdCluster } from '../../src/doors/generate/clusters.ts';
import { plain } from '../../src/lib/commented-yaml.ts';
import type { UnaryHandler } from '../../src/server/front.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { type StartedEnvoy, startEnvoy } from '../support/envoy.ts';
import { startProcess } from '../support/process.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';

const FILTERS = 'type.googleapis.com/envoy.extensions.filters';

async function startCheckingEnvoy(t: TestContext, socket: string, timeout: string): Promise<StartedEnvoy> {
  const manager = {
    '@type': `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'app',
    codec_type: 'AUTO',
    http2_protocol_options: { max_concurrent_streams: 4_000 },
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              direct_response: { status: 200 },
              typed_per_filter_config: {
                'envoy.filters.http.ext_authz': {
                  '@type': `${FILTERS}.http.ext_authz.v3.ExtAuthzPerRoute`,
                  check_settings: { context_extensions: { policy: 'orders' } },
                },
              },
            },
          ],
        },
      ],
    },
    http_filters: [
      {
        name: 'envoy.filters.http.ext_authz',
        typed_config: {
          '@type': `${FILTERS}.http.ext_authz.v3.ExtAuthz`,
          transport_api_version: 'V3',
          grpc_service: { envoy_grpc: { cluster_name: 'check' }, timeout },
          status_on_error: { code: 'ServiceUnavailable' },
        },
      },
      { name: 'router', typed_config: { '@type': `${FILTERS}.http.router.v3.Router` } },
    ],
  };
  const envoy = await startEnvoy({
    config: {
      static_resources: {
        listeners: [
          {
            name: 'app',
            address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
            filter_chains: [{ filters: [{ name: 'hcm', typed_config: manager }] }],
          },
        ],
        // As it is generated: its limits are part of what is tested.
        clusters: [
          plain(bearerdCluster('check', { kind: 'unix', path: socket, mode: 0o660, group: undefined })),
        ],
      },
    },
    concurrency: 1,
  });
  t.after(() => envoy.stop());
  return envoy;
}

async function connectionsOf(envoy: StartedEnvoy): Promise<{ opened: number; ended: number }> {
  const stats = await envoy.stats('^cluster.check.upstream_cx_(total|destroy)$');
  return {
    opened: stats.get('cluster.check.upstream_cx_total')!,
    ended: stats.get('cluster.check.upstream_cx_destroy')!,
  };
}

test('20,000 Checks whose callers leave, 1,000 a second: the connection stays, nothing is left of any', async (t) => {
  const CALLS = 20_000;
  const sockets = createSocketFolder();
  const recorded = createRecordingObserver();
  const waiting = new Set<AbortSignal>();
  let seen = 0;
  let connected = 0;
  const check: UnaryHandler = (_message, { signal }) => {
    seen++;
    waiting.add(signal);
    return new Promise((_resolve, reject) => {
      const gone = () => {
        waiting.delete(signal);
        reject(new Error('gone'));
      };
      signal.addEventListener('abort', gone, { once: true });
    });
  };
  const front = createRawFront(new Map([[CHECK_PATH, check]]), {
    observer: recorded.observer,
    name: 'check',
  });
  const address = await front.listen(sockets.address('check.sock'));
  t.after(async () => {
    await front.drain(0);
    sockets.remove();
  });
  const envoy = await startCheckingEnvoy(t, address.slice('unix://'.length), '4.3s');
  const port = await envoy.listenerPort('app');
  const begun = performance.now();
  for (let i = 0; i < CALLS; ) {
    // Behind the clock, never ahead of it.
    const due = Math.min(CALLS, Math.floor(performance.now() - begun));
    for (; i < due; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('GET / HTTP/1.1\r\nhost: orders.example.com\r\n\r\n');
      // From then on: where this process itself stands still, its request would never have been sent.
      socket.once('connect', () => {
        connected++;
        setTimeout(() => socket.destroy(), 100);
      });
    }
    await sleep(2);
  }
  const took = (performance.now() - begun) / 1000;
  // A busy Envoy may not have taken some of them yet, while none waits.
  const isOver = async () => {
    const stats = await envoy.stats('^http.app.downstream_cx_(total|active)$');
    const taken = stats.get('http.app.downstream_cx_total')!;
    return taken >= connected && stats.get('http.app.downstream_cx_active') === 0 && waiting.size === 0;
  };
  for (let i = 0; i < 600 && !(await isOver()); i++) await sleep(50);
  const { opened, ended } = await connectionsOf(envoy);
  t.diagnostic(`${seen} Checks in ${took.toFixed(1)} s, ${opened} connection, ${waiting.size} left waiting`);
  assert.ok(seen > CALLS * 0.98, `Envoy asked for ${seen}`);
  assert.equal(waiting.size, 0, 'every waiting call heard that its caller had left');
  assert.deepEqual({ opened, ended }, { opened: 1, ended: 0 });
  assert.deepEqual(recorded.named('peerFault'), []);
});

test('a bearerd that stands still for 5 s at 3,000 Checks a second keeps its connections and answers at once again', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-stopped-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(
    join(folder, 'bearerd.yaml'),
    `version: 1
mode: development
listen: { check: "unix://${folder}/check.sock" }
sources: { orders: { static: { value: { inline: a-token } } } }
outbound:
  - { name: orders, match: { hosts: [orders.example.com] }, inject: { source: orders } }
`,
  );
  const bearerd = await startProcess(process.execPath, [
    join(import.meta.dirname, '../../bin/bearerd.js'),
    ...['serve', '--config', join(folder, 'bearerd.yaml')],
  ]);
  t.after(() => bearerd.stop());
  await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
  const rss = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${bearerd.pid}/status`, 'utf8'))![1]) >> 10;
  // As short as Envoy's default: most calls of the five seconds are given up long before they are read.
  const envoy = await startCheckingEnvoy(t, join(folder, 'check.sock'), '0.2s');
  const sessions = await openSessions(t, await envoy.listenerPort('app'), 4);

  const counts = { ok: 0, other: 0 };
  let open = 0;
  const ask = (session: http2.ClientHttp2Session) => {
    open++;
    const stream = session.request({ ':path': '/', ':authority': 'orders.example.com' });
    stream.on('response', (headers) => counts[headers[':status'] === 200 ? 'ok' : 'other']++);
    stream.on('error', () => counts.other++);
    stream.on('close', () => open--);
    stream.resume();
  };
  /** For so long; what became of them is known when all have come to their end. */
  const offer = async (ms: number) => {
    Object.assign(counts, { ok: 0, other: 0 });
    const begun = performance.now();
    for (let i = 0; i < 3 * ms; ) {
      const due = Math.min(3 * ms, Math.floor(3 * (performance.now() - begun)));
      for (; i < due; i++) ask(sessions[i % sessions.length]!);
      await sleep(2);
    }
  };
  const settled = async () => {
    for (let i = 0; i < 3_000 && open > 0; i++) await sleep(10);
    return { ...counts };
  };
  await offer(1_000);
  await settled();
  const before = rss();
  process.kill(bearerd.pid, 'SIGSTOP');
  try {
    await offer(5_000);
  } finally {
    process.kill(bearerd.pid, 'SIGCONT');
  }
  const resumed = performance.now();
  const stopped = await settled();
  let after = counts;
  do {
    await offer(300);
    after = await settled();
  } while (after.other > 0 && performance.now() - resumed < 60_000);
  const recovered = performance.now() - resumed;
  const grown = rss() - before;
  const { opened, ended } = await connectionsOf(envoy);
  t.diagnostic(
    `while stopped ${stopped.ok} answered, ${stopped.other} ended by Envoy; ${after.ok} of 900 answered ` +
      `${recovered.toFixed(0)} ms after; ${opened} connections, ${ended} ended, ${grown} MB more`,
  );
  assert.ok(stopped.other > 10_000, 'the calls of five seconds ran into their deadline');
  assert.equal(after.ok, 900, 'every Check is answered again');
  assert.equal(ended, 0, 'no connection ended');
  assert.doesNotMatch(bearerd.output(), /rapid_reset|slow_reader|keepalive/);
  assert.ok(grown < 60, `${grown} MB more`);
});

async function openSessions(
  t: TestContext,
  port: number,
  count: number,
): Promise<http2.ClientHttp2Session[]> {
  const sessions = await Promise.all(
    Array.from({ length: count }, async () => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      session.on('error', () => {});
      await new Promise((resolve, reject) => session.once('remoteSettings', resolve).once('error', reject));
      return session;
    }),
  );
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  return sessions;
}
