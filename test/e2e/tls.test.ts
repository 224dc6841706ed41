// Envoy reaches bearerd over mTLS, with the generated cluster; without its tls_maximum_protocol_version it is refused.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse, stringify } from 'yaml';
import { createWorld, gated, ORDERS } from '../../demo/world.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { generateEnvoy } from '../../src/doors/generate/generate.ts';
import { startEnvoy } from '../support/envoy.ts';
import { freePort } from '../support/ports.ts';

const ENVOY = 'spiffe://cluster.local/ns/prod/sa/checkout';

for (const version of ['1.40.0', '1.36.2'] as const) {
  test(`Envoy ${version} asks over mTLS; with TLS 1.2 it is refused and the log names the setting`, async (t) => {
    const port = await freePort();
    const world = await createWorld({
      check: `{ address: "127.0.0.1:${port}", tls: { certificate: FOLDER/bearerd.pem, private_key: FOLDER/bearerd.key, client_ca: FOLDER/demo-authority.pem, allowed_uris: ["${ENVOY}"] } }`,
    });
    t.after(() => world.stop());
    await world.authority.issue('bearerd', 'server');
    const own = await world.authority.issue('envoy', 'client', { uris: [ENVOY] });
    const bearerd = await world.startBearerd();
    await world.ready();

    const config = parseConfig(readFileSync(world.configFile, 'utf8'), world.configFile);
    const ca = world.authority.ca;
    const there = {
      address: '127.0.0.1',
      port: world.upstream.port,
      tls: { ca, ...(await world.authority.issue('app', 'client')), sni: 'api' },
    };
    const bootstrap = generateEnvoy(config, {
      door: 'check',
      listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      upstreams: { [ORDERS]: there, '*': there },
      checkUpstream: { address: '127.0.0.1', port, tls: { ca, ...own, sni: 'bearerd' } },
    });
    const envoy = await startEnvoy({ config: bootstrap, version });
    t.after(() => envoy.stop());
    const { send } = await gated(envoy);
    const answer = await send('/v1/orders');
    assert.equal(answer.status, 200, answer.body);

    const old = parse(bootstrap);
    for (const cluster of old.static_resources.clusters) {
      if (cluster.transport_socket)
        delete cluster.transport_socket.typed_config.common_tls_context.tls_params;
    }
    const oldEnvoy = await startEnvoy({ config: stringify(old), version });
    t.after(() => oldEnvoy.stop());
    assert.equal((await (await gated(oldEnvoy)).send('/v1/orders')).status, 503);
    await bearerd.waitForOutput(/"fault":"tls_version".*tls_maximum_protocol_version: TLSv1_3/);
  });
}
