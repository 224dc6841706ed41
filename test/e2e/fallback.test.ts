// A provider that is away, and one that refuses, with a second source to fall back to, through the check door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/loopback.ts';

for (const [status, expected] of [
  [503, [200, 'Bearer of-backup']],
  [403, [503, undefined]],
] as const) {
  test(`a provider that answers ${status}: ${expected[0] === 200 ? 'the fallback gives the credential' : 'a refusal is final'}`, async (t) => {
    const provider = (answer: () => readonly [number, object]) =>
      startUpstream(t, (_, response) => {
        const [code, body] = answer();
        response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    const main = await provider(() => [status, {}]);
    const backup = await provider(() => [200, { access_token: 'of-backup' }]);
    const gateway = await startGateway(t, {
      sources: `  orders: { fallback: backup, http: { url: "http://127.0.0.1:${main}/token" } }
  backup: { http: { url: "http://127.0.0.1:${backup}/token" } }`,
    });
    const { send } = await gateway.startEnvoy('check');
    const answer = await send('/x');
    const seen = answer.status === 200 ? JSON.parse(answer.body).authorization : undefined;
    assert.deepEqual([answer.status, seen], expected, answer.body);
    const used = /bearerd_fallbacks_total\{[^}]*fallback="backup"[^}]*\} [1-9]/.test(await gateway.metrics());
    assert.equal(used, expected[0] === 200);
  });
}
