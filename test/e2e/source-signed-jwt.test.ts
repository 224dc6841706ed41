// Envoy's jwt_authn verifies what bearerd signs, with the keys that bearerd publishes, and no request is refused while the
// key changes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeProtectedHeader } from 'jose';
import { startEnvoy } from '../support/envoy.ts';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/loopback.ts';
import { freePorts } from '../support/ports.ts';
import { writePrivateKey } from '../support/signing-key.ts';

const ISSUER = 'https://checkout.example.com';

/** An Envoy that lets only JWTs of the issuer through to an upstream that answers with what it received. */
function verifier(port: number, upstream: number, jwks: number): object {
  const cluster = (name: string, to: number) => ({
    name,
    type: 'STATIC',
    load_assignment: {
      cluster_name: name,
      endpoints: [
        {
          lb_endpoints: [
            { endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: to } } } },
          ],
        },
      ],
    },
  });
  const extensions = 'type.googleapis.com/envoy.extensions.filters';
  return {
    static_resources: {
      clusters: [cluster('upstream', upstream), cluster('jwks', jwks)],
      listeners: [
        {
          name: 'verifier',
          address: { socket_address: { address: '127.0.0.1', port_value: port } },
          filter_chains: [
            {
              filters: [
                {
                  name: 'envoy.filters.network.http_connection_manager',
                  typed_config: {
                    '@type': `${extensions}.network.http_connection_manager.v3.HttpConnectionManager`,
                    stat_prefix: 'verifier',
                    route_config: {
                      virtual_hosts: [
                        {
                          name: 'all',
                          domains: ['*'],
                          routes: [{ match: { prefix: '/' }, route: { cluster: 'upstream' } }],
                        },
                      ],
                    },
                    http_filters: [
                      {
                        name: 'envoy.filters.http.jwt_authn',
                        typed_config: {
                          '@type': `${extensions}.http.jwt_authn.v3.JwtAuthentication`,
                          providers: {
                            checkout: {
                              issuer: ISSUER,
                              audiences: ['orders'],
                              forward: true,
                              remote_jwks: {
                                http_uri: {
                                  uri: `http://127.0.0.1:${jwks}/.well-known/jwks.json`,
                                  cluster: 'jwks',
                                  timeout: '2s',
                                },
                                cache_duration: '1s',
                              },
                            },
                          },
                          rules: [{ match: { prefix: '/' }, requires: { provider_name: 'checkout' } }],
                        },
                      },
                      {
                        name: 'envoy.filters.http.router',
                        typed_config: { '@type': `${extensions}.http.router.v3.Router` },
                      },
                    ],
                  },
                },
              ],
            },
          ],
        },
      ],
    },
  };
}

// Side by side: nearly all of it is waiting for ends.
describe('keys that change', { concurrency: true }, () => {
  for (const door of ['check', 'push', 'attempt'] as const) {
    test(`${door}: jwt_authn accepts every JWT across a change of keys, and nothing without one`, async (t) => {
      const keys = mkdtempSync(join(tmpdir(), 'bearerd-signing-'));
      t.after(() => rmSync(keys, { recursive: true }));
      writePrivateKey(join(keys, '2026-11.pem'), 'ES256');
      const [jwks, port] = (await freePorts(2)) as [number, number];
      const upstream = await startUpstream(t, (request, response) => {
        response.end(request.headers.authorization ?? '');
      });
      const gateway = await startGateway(t, {
        health: `127.0.0.1:${jwks}`,
        upstreamPort: port,
        sources: `  orders:
      required: true
      signed_jwt:
        keys: { directory: ${keys} }
        publish_ahead: 3s
        issuer: ${ISSUER}
        subject: checkout
        audience: orders
        lifetime: 10s`,
      });
      await gateway.ready();
      const envoy = await startEnvoy({ config: verifier(port, upstream, jwks) });
      t.after(() => envoy.stop());
      assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 401);

      const { send } = await gateway.startEnvoy(door);
      const kids = new Set<string>();
      let requests = 0;
      const run = async (until: () => boolean, limitMs: number) => {
        const begun = performance.now();
        while (!until()) {
          assert.ok(performance.now() - begun < limitMs, `not within ${limitMs} ms: ${[...kids]}`);
          const { status, body } = await send('/x');
          assert.equal(status, 200, `request ${++requests}: ${body}`);
          kids.add(decodeProtectedHeader(body.replace('Bearer ', '')).kid!);
          await sleep(25);
        }
      };
      await run(() => requests >= 10, 30_000);
      assert.equal(kids.size, 1);
      const changed = performance.now();
      writePrivateKey(join(keys, '2026-12.pem'), 'EdDSA');
      rmSync(join(keys, '2026-11.pem'));
      await run(() => kids.size === 2, 60_000);
      const ms = performance.now() - changed;
      assert.ok(ms >= 2_500, `the new key signed ${ms} ms after it came, before verifiers knew it`);
      // Beyond the end of everything that the old key signed.
      await run(() => performance.now() - changed > ms + 11_000, 60_000);
      const { keys: left } = (await (await fetch(`${gateway.healthUrl}/.well-known/jwks.json`)).json()) as {
        keys: { kid: string }[];
      };
      assert.equal(left.length, 1);
      assert.ok([...kids].includes(left[0]!.kid));
      t.diagnostic(
        `${requests} requests, all 200; the new key signs ${ms.toFixed(0)} ms after its file (publish_ahead 3000)`,
      );
    });
  }
});
