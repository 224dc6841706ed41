// What a policy's resilience does through real Envoys: idempotent requests are tried again and others are not, Retry-After is
// waited for, a refusal is still healed for both, and names of headers keep their case.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { createWorld } from '../../demo/world.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { startUpstream } from '../support/loopback.ts';

const RESILIENCE = `resilience:
      retries: 2
      retry_after: 5s
      outlier_detection: { consecutive_errors: 100 }
      connections: { max: 50, requests_per_connection: 1000, idle_timeout: 30s }
      header_case: preserve`;

let attempts: { method: string; raw: string[]; at: number }[] = [];
const upstreamPort = await startUpstream({ after }, (request, response) => {
  attempts.push({ method: request.method!, raw: request.rawHeaders, at: performance.now() });
  request.resume();
  const fault = attempts.length === 1 ? /fault=(\w+)/.exec(request.url!)?.[1] : undefined;
  if (fault === 'reset') {
    request.socket.destroy();
    return;
  }
  if (fault === '429') response.setHeader('retry-after', '1');
  response.statusCode = Number(fault ?? 200);
  response.end('{}');
});

const runs = TESTED_ENVOYS.flatMap((version) =>
  (version === TESTED_ENVOYS[0] ? (['check', 'push', 'attempt'] as const) : (['push'] as const)).map(
    (door) => ({ version, door }),
  ),
);
for (const { version, door } of runs) {
  test(`Envoy ${version}, ${door}: GET is tried again after a failure, POST is not, both after a refusal that heals`, async (t) => {
    const world = await createWorld({
      version,
      policy: RESILIENCE,
      upstreamPort,
    });
    t.after(() => world.stop());
    await world.startBearerd();
    await world.ready();
    const { send } = await world.startEnvoy(door);
    const ask = async (method: string, fault: string): Promise<[status: number, attempts: number]> => {
      attempts = [];
      const { status } = await send(`/v1/x?fault=${fault}`, { method, headers: { 'X-MiXed-Case': 'yes' } });
      return [status, attempts.length];
    };
    assert.deepEqual(await ask('GET', '200'), [200, 1]);
    for (const fault of ['500', '502', '503', '504', 'reset']) {
      assert.deepEqual(await ask('GET', fault), [200, 2], `GET ${fault}`);
      assert.deepEqual(
        await ask('POST', fault),
        [fault === 'reset' ? 503 : Number(fault), 1],
        `POST ${fault}`,
      );
    }
    assert.deepEqual(await ask('GET', '404'), [404, 1]);
    for (const method of ['GET', 'POST'])
      assert.deepEqual(await ask(method, '401'), door === 'check' ? [401, 1] : [200, 2], `${method} 401`);

    assert.deepEqual(await ask('GET', '429'), [200, 2]);
    const waited = attempts[1]!.at - attempts[0]!.at;
    t.diagnostic(`Retry-After: 1 was waited for ${waited.toFixed(0)} ms`);
    assert.ok(waited >= 995 && waited < 4_500, `${waited}`);
    assert.deepEqual(await ask('POST', '429'), [429, 1]);

    const { raw } = attempts[0]!;
    assert.ok(raw.includes('X-MiXed-Case'), `${raw}`);
    assert.ok(raw.includes('Authorization'), `${raw}`);
    assert.ok(
      !raw.some((name) => /^x-envoy-(retry-on|retriable-status-codes|max-retries)$/i.test(name)),
      `${raw}`,
    );
  });
}
