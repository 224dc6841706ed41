// JWT-SVIDs through each door of a real Envoy: renewed at half life, at once when their key leaves the bundle, and kept
// while the Workload API is away. The upstream verifies each one.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { startWorkloadApi } from '../support/workload-api.ts';

const LIFETIME_SECONDS = 10;

// Side by side: nearly all of it is waiting for renewals.
describe('JWT-SVIDs', { concurrency: true }, () => {
  for (const door of ['check', 'push', 'attempt'] as const) {
    test(`${door}: every request carries a JWT-SVID that verifies`, async (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'bearerd-spiffe-'));
      const api = await startWorkloadApi({
        socket: join(folder, 'agent.sock'),
        lifetimeSeconds: LIFETIME_SECONDS,
      });
      t.after(async () => {
        await api.stop();
        rmSync(folder, { recursive: true });
      });
      const gateway = await startGateway(t, {
        sources: `  orders: { required: true, spiffe_jwt: { socket: "unix://${api.socket}", audience: [orders, stock] } }`,
        async upstream(request, response) {
          try {
            const token = (request.headers.authorization ?? '').replace('Bearer ', '');
            const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(api.jwks()), {
              audience: 'stock',
            });
            response.end(JSON.stringify([payload.sub, payload.jti, protectedHeader.kid]));
          } catch (error) {
            response.writeHead(403);
            response.end((error as Error).message);
          }
        },
      });
      await gateway.ready();
      const { send } = await gateway.startEnvoy(door);
      const seen = async (): Promise<[string, string, string]> => {
        const { status, body } = await send('/x');
        assert.equal(status, 200, body);
        return JSON.parse(body);
      };
      const renewed = async (
        what: string,
        condition: (svid: [string, string, string]) => boolean,
        limitMs: number,
      ) => {
        const begun = performance.now();
        while (!condition(await seen())) {
          assert.ok(performance.now() - begun < limitMs, `${what} not within ${limitMs} ms`);
          await sleep(25);
        }
        return performance.now() - begun;
      };
      const [subject, first] = await seen();
      assert.equal(subject, 'spiffe://example.org/checkout');
      assert.deepEqual(api.fetched[0], ['orders', 'stock']);
      const ms = await renewed('a renewal', ([, jti]) => jti !== first, LIFETIME_SECONDS * 1_000);
      t.diagnostic(`renewed after ${ms.toFixed(0)} ms of ${LIFETIME_SECONDS} s`);

      // Away for less than what is left of the last one: nobody notices.
      const [, before] = await seen();
      await api.stop();
      await sleep(1_500);
      await seen();
      await api.start();
      await renewed(
        'a renewal after the API was away',
        ([, jti]) => jti !== before,
        LIFETIME_SECONDS * 1_000,
      );

      // The key leaves the bundle: what it signed is worth nothing from then on.
      await until('the stream of bundles is back', () => api.openStreams > 0);
      await api.rotate();
      const rotated = performance.now();
      for (;;) {
        const { status, body } = await send('/x');
        if (status === 200 && (JSON.parse(body) as string[])[2] === 'key-2') break;
        assert.ok(performance.now() - rotated < 30_000, body);
        await sleep(10);
      }
      t.diagnostic(
        `an SVID of the new key ${(performance.now() - rotated).toFixed(0)} ms after the old one was withdrawn`,
      );
      assert.ok(performance.now() - rotated < 2_000);
      assert.equal(api.refusedCalls, 0);
    });
  }
});
