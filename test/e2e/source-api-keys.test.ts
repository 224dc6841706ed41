// An upstream refuses the API key in use: the next one goes out at once, through each door of a real Envoy; what an
// operator changes in the ring counts within two seconds.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway } from '../support/gateway.ts';
import { swapRing } from '../support/key-ring.ts';

const TWO = [
  { id: 'a', state: 'in_use', to: 30 },
  { id: 'b', state: 'activated', to: 90 },
];

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: a refused key is followed by the next one, and the ring by bearerd`, async (t) => {
    const secrets = mkdtempSync(join(tmpdir(), 'bearerd-ring-'));
    t.after(() => rmSync(secrets, { recursive: true }));
    swapRing(secrets, TWO);
    const refused = new Set<string>();
    const gateway = await startGateway(t, {
      sources: `  orders: { required: true, api_keys: { ring: ${secrets}/..data/ring.yaml } }`,
      inject: ', header: x-api-key',
      upstream(request, response) {
        const key = String(request.headers['x-api-key']);
        response.writeHead(refused.has(key) ? 401 : 200);
        response.end(key);
      },
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy(door);
    const until = async (body: string): Promise<number> => {
      const begun = performance.now();
      for (;;) {
        const answer = await send('/x');
        const ms = performance.now() - begun;
        if (answer.status === 200 && answer.body === body) return ms;
        if (ms > 30_000) assert.fail(`${answer.status} ${answer.body} instead of ${body}`);
        await sleep(10);
      }
    };
    assert.equal((await send('/x')).body, 'value-a');
    await sleep(200); // Envoy's acknowledgement must be older than 50 ms

    refused.add('value-a');
    const first = await send('/x');
    if (door !== 'check') assert.deepEqual([first.status, first.body], [200, 'value-b'], 'the same request');
    else {
      assert.equal(first.status, 401);
      const ms = await until('value-b');
      t.diagnostic(`the next key after ${ms.toFixed(0)} ms`);
      assert.ok(ms < 1_000, `${ms} ms`);
    }
    assert.match(await gateway.metrics(), /bearerd_api_keys_refused_total\{source="orders",key="a"\} 1/);
    await gateway.bearerd.waitForOutput(/"keyId":"a".*the next one takes its place/);

    await sleep(1_100);
    refused.clear();
    swapRing(secrets, [
      { ...TWO[0]!, value: 'renewed-a' },
      { ...TWO[1]!, state: 'suspended' },
    ]);
    const ms = await until('renewed-a');
    t.diagnostic(`the changed ring counts after ${ms.toFixed(0)} ms (at most 2000)`);
    assert.ok(ms <= 2_000, `${ms} ms`);
    assert.doesNotMatch(gateway.bearerd.output(), /value-[ab]|renewed/);
  });
}
