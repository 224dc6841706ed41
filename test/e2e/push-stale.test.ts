// The honest limit of the push door: what Envoy goes on sending is up to whether bearerd is there to take it back.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway } from '../support/gateway.ts';
import { createTestKey, signToken } from '../support/token-issuer.ts';

const LIFE_SECONDS = 5;

// Side by side: nearly all of it is waiting for the end.
describe('a credential that ended', { concurrency: true }, () => {
  for (const version of ['1.40.0', '1.36.2'] as const) {
    for (const away of [false, true]) {
      test(`Envoy ${version}: ${away ? 'is still sent while bearerd is away' : 'is taken back by a bearerd that runs'}`, async (t) => {
        const exp = Math.ceil(Date.now() / 1_000) + LIFE_SECONDS;
        const token = signToken(createTestKey('one'), { exp });
        const gateway = await startGateway(t, {
          sources: `  orders: { static: { value: { inline: ${token} } } }`,
        });
        await gateway.ready();
        const { send } = await gateway.startEnvoy('push', { version });
        const first = await send('/');
        assert.equal(JSON.parse(first.body).authorization, `Bearer ${token}`);
        if (away) await gateway.bearerd.stop();
        await sleep(exp * 1_000 - Date.now() + 1_500);
        const { status, body } = await send('/');
        assert.equal(status, away ? 200 : 503, body);
        if (away) assert.equal(JSON.parse(body).authorization, `Bearer ${token}`);
      });
    }
  }
});
