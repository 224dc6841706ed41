// An API key changed for short-lived tokens, through each door of a real Envoy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { startUpstream } from '../support/loopback.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: each token of the provider goes out, the key never does`, async (t) => {
    let calls = 0;
    const provider = await startUpstream(t, (request, response) => {
      const allowed = request.headers['x-key'] === 'the-key';
      response.writeHead(allowed ? 200 : 401, { 'content-type': 'application/json' });
      response.end(JSON.stringify(allowed ? { token: `short-${++calls}`, ttl: 4 } : {}));
    });
    const gateway = await startGateway(t, {
      files: { key: 'the-key\n' },
      sources: `  orders:
    required: true
    http:
      url: http://127.0.0.1:${provider}/token
      secrets: { key: { file: key } }
      headers: { x-key: "\${key}" }
      token: /token
      lifetime: /ttl`,
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy(door);
    const seen = new Set<string>();
    const begun = performance.now();
    while (seen.size < 2 && performance.now() - begun < 30_000) {
      const { status, body } = await send('/x');
      assert.equal(status, 200, body);
      assert.doesNotMatch(body, /the-key/);
      seen.add((JSON.parse(body) as { authorization: string }).authorization);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.deepEqual([...seen], ['Bearer short-1', 'Bearer short-2']);
  });
}
