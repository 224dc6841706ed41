// The honest limit of the push door: what Envoy goes on sending is up to whether bearerd is there to take it back.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway } from '../support/gateway.ts';
import { createTestKey, signToken } from '../support/token-issuer.ts';
import { until } from '../support/until.ts';

const LIFE_SECONDS = 5;

// Side by side: nearly all of it is waiting for the end.
describe('a credential that ended', { concurrency: true }, () => {
  for (const version of ['1.40.0', '1.36.2'] as const) {
    for (const away of [false, true]) {
      test(`Envoy ${version}: ${away ? 'is still sent while bearerd is away' : 'is taken back by a bearerd that runs'}`, async (t) => {
        const key = createTestKey('one');
        const gateway = await startGateway(t, {
          sources: '  orders: { file: { path: FOLDER/token } }',
          files: { token: signToken(key, { exp: Math.ceil(Date.now() / 1_000) + 3_600 }) },
        });
        await gateway.ready();
        const { send } = await gateway.startEnvoy('push', { version });
        // Only now: however long the start took, it is there in time.
        const exp = Math.ceil(Date.now() / 1_000) + LIFE_SECONDS;
        const token = signToken(key, { exp });
        writeFileSync(join(gateway.folder, 'token'), token);
        const isSent = async () => {
          const { status, body } = await send('/');
          return status === 200 && JSON.parse(body).authorization === `Bearer ${token}`;
        };
        await until('the token that ends', isSent);
        if (away) await gateway.bearerd.stop();
        await sleep(exp * 1_000 - Date.now());
        if (away) assert.ok(await isSent());
        else await until('503', async () => (await send('/')).status === 503);
      });
    }
  }
});
