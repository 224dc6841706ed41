// A script's credentials through each door of a real Envoy; a refused one makes it run again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startGateway } from '../support/gateway.ts';

const SCRIPT = `#!/bin/sh
echo x >> FOLDER/runs
echo "canary on standard error" >&2
runs=$(grep -c x FOLDER/runs)
printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"run-%s"}}' "$runs"
`;

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: the program's credential goes out, and after a refusal the next run's`, async (t) => {
    let refused = '';
    const gateway = await startGateway(t, {
      files: { 'token.sh': SCRIPT },
      sources: '  orders: { required: true, exec: { command: [FOLDER/token.sh], env: [PATH] } }',
      upstream(request, response) {
        const value = request.headers.authorization ?? '';
        response.writeHead(value === refused ? 401 : 200);
        response.end(value);
      },
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy(door);
    assert.equal((await send('/x')).body, 'Bearer run-1');
    await sleep(200); // Envoy's acknowledgement must be older than 50 ms
    refused = 'Bearer run-1';
    let answer = await send('/x');
    if (door === 'check') {
      assert.equal(answer.status, 401, 'through check the next request is healed');
      for (let i = 0; i < 1_000 && answer.status !== 200; i++) {
        await sleep(20);
        answer = await send('/x');
      }
    }
    assert.deepEqual([answer.status, answer.body], [200, 'Bearer run-2']);
    assert.doesNotMatch(gateway.bearerd.output(), /canary|run-1|run-2/);
  });
}
