// bearerd doctor beside real Envoys: silent about what the generator wrote, and loud about each thing that was broken in it.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { createAuthority } from '../../demo/certificates.ts';
import type { World } from '../../demo/world.ts';
import type { Door } from '../../src/doors/generate/plan.ts';
import { HTTP_OPTIONS } from '../../src/doors/transport.ts';
import { startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { startedWorld } from '../support/world.ts';

async function doctor(
  world: Pick<World, 'configFile'>,
  adminUrl: string,
): Promise<{ code: number; text: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['dist/main.js', 'doctor', '--config', world.configFile, '--envoy', adminUrl],
    ]);
    return { code: 0, text: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, text: stdout + stderr };
  }
}

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: nothing is wrong with what the generator writes`, async (t) => {
    const world = await startedWorld(t);
    await world.ready();
    const { envoy, send } = await world.startEnvoy(door);
    assert.equal((await send('/v1/orders')).status, 200);
    assert.deepEqual(await doctor(world, envoy.adminUrl), { code: 0, text: 'nothing is wrong\n' });
  });
}

/** An access log as a team may have it: harmless until somebody injects. */
const PRINTING =
  '{ name: f, typed_config: { "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog, log_format: { text_format_source: { inline_string: "%REQ(authorization)%" } } } }';

const broken: [string, Door, (bootstrap: string) => string, RegExp][] = [
  ['a short timeout', 'check', (b) => b.replace('timeout: 4.3s', 'timeout: 0.2s'), /gives a Check 200 ms/],
  [
    'an open failure mode',
    'check',
    (b) => b.replace('failure_mode_allow: false', 'failure_mode_allow: true'),
    /failure_mode_allow is on/,
  ],
  [
    'a filter that is on everywhere',
    'check',
    (b) => b.replace(/^ *disabled: true\n/m, ''),
    /on for every route/,
  ],
  [
    'few retries',
    'push',
    (b) => b.replace('- max_retries: 4096\n', '- max_retries: 3\n'),
    /max_retries is 3/,
  ],
  [
    'no retry of a 401',
    'push',
    (b) =>
      b
        .replaceAll(/^ *retriable_status_codes:\n *- 401\n/gm, '')
        .replaceAll(/^ *retriable_headers:\n(?: {20,}.*\n)+/gm, ''),
    /no route to it retries a 401/,
  ],
  [
    'a log with the credential',
    'push',
    (b) => b.replace(/( *)stat_prefix: outbound/, `$&\n$1access_log: [${PRINTING}]`),
    /prints a header with a credential/,
  ],
  [
    'a rewrite',
    'push',
    (b) => b.replace(/( *)(cluster: orders\.orders\.example\.com)/, '$1$2\n$1prefix_rewrite: /v1/'),
    /has prefix_rewrite/,
  ],
];
for (const [what, door, change, finding] of broken) {
  test(`tells ${what}`, async (t) => {
    const world = await startedWorld(t);
    await world.ready();
    const { envoy } = await world.startEnvoy(door, (bootstrap) => {
      const changed = change(bootstrap);
      assert.notEqual(changed, bootstrap);
      return changed;
    });
    const { text } = await doctor(world, envoy.adminUrl);
    assert.match(text, finding);
    assert.match(text, /->/);
  });
}

test('tells a policy that Envoy knows nothing of, a source without a credential, and a bearerd that is away', async (t) => {
  const world = await startedWorld(t, {
    settings:
      '  - { name: forgotten, match: { hosts: [forgotten.example.com] }, inject: { source: orders, header: x-other } }',
    providerDown: true,
  });
  const { envoy } = await world.startEnvoy('push', (bootstrap) =>
    bootstrap.replaceAll('forgotten', 'elsewhere').replaceAll('x-other', 'x-elsewhere'),
  );
  await until('a failed fetch', async () => /result="source_unavailable"/.test(await world.metrics()));
  const { code, text } = await doctor(world, envoy.adminUrl);
  assert.equal(code, 1);
  assert.match(text, /no route or cluster of Envoy is made for the policy forgotten/);
  assert.match(text, /source orders: no credential: source_unavailable/);
  const { text: away } = await doctor(world, 'http://127.0.0.1:1');
  assert.match(away, /cannot be asked: ECONNREFUSED/);
});

test('tells clusters that a credential leaves by in plain text, to whoever answers or under any name, and processors that tell nothing', async (t) => {
  const gateway = await startGateway(t, {
    mode: 'production',
    sources: '  orders: { static: { value: { file: FOLDER/key } } }',
    files: { key: 'a-key' },
  });
  await gateway.ready();
  const { ca } = await createAuthority(gateway.folder);
  const tls = (common_tls_context: object) => ({
    name: 'tls',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
      common_tls_context,
    },
  });
  const authority = tls({ validation_context: { trusted_ca: { filename: ca } } });
  for (const door of ['check', 'attempt'] as const) {
    const name = `${door === 'check' ? 'plain' : 'orders'}.orders.example.com`;
    const said = async (transport_socket?: object, byHost = true) => {
      const { envoy } = await gateway.startEnvoy(door, {
        change: (bootstrap) => {
          const document = parse(bootstrap);
          const cluster = document.static_resources.clusters.find(
            (one: { name: string }) => one.name === name,
          );
          cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address =
            '192.0.2.9';
          if (transport_socket !== undefined) cluster.transport_socket = transport_socket;
          if (!byHost)
            delete cluster.typed_extension_protocol_options[HTTP_OPTIONS].upstream_http_protocol_options;
          return stringify(document);
        },
      });
      const { text } = await doctor({ configFile: `${gateway.folder}/bearerd.yaml` }, envoy.adminUrl);
      await envoy.stop();
      return text;
    };
    assert.match(
      await said(),
      new RegExp(`error +cluster ${name}: .*policy orders leaves by it without TLS`),
    );
    assert.doesNotMatch(await said(authority), /^error/m);
    assert.match(
      await said(authority, false),
      new RegExp(`error +cluster ${name}: .* checks no name\\n +-> upstream_http_protocol_options: `),
    );
    const text = await said(tls({}));
    assert.match(text, new RegExp(`error +cluster ${name}: .* goes to whoever answers there`));
    assert.equal(/warning .* does not tell bearerd/.test(text), door === 'attempt');
  }
});

test('tells a status page that is configured and not there', async (t) => {
  const gateway = await startGateway(t, {
    mode: 'production',
    sources: '  orders: { static: { value: { file: FOLDER/key } } }',
    files: { key: 'a-key' },
    prepare: (folder) => writeFileSync(join(folder, 'token'), 'at-least-16-characters'),
  });
  await gateway.ready();
  const { envoy } = await gateway.startEnvoy('push');
  const configFile = join(gateway.folder, 'changed.yaml');
  const text = readFileSync(join(gateway.folder, 'bearerd.yaml'), 'utf8');
  writeFileSync(
    configFile,
    text.replace('  health:', '  status: { address: "127.0.0.1:1", token: { file: token } }\n  health:'),
  );
  const { code, text: said } = await doctor({ configFile }, envoy.adminUrl);
  assert.match(said, /^warning the status page does not answer on 127\.0\.0\.1:1: ECONNREFUSED\n/);
  assert.equal(code, 0);
});
