// access_log: full through real Envoy: rate, errors, duration and limits of each policy, whatever the door.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../support/gateway.ts';
import { until } from '../support/until.ts';

for (const door of ['check', 'push', 'attempt'] as const) {
  test(`${door}: every request is counted by policy, door and status, and no label comes from a request`, async (t) => {
    const gateway = await startGateway(t, {
      sources: '  orders: { static: { value: { inline: canary-token } } }',
      settings: 'access_log: full',
      upstream(request, response) {
        const status = Number(/status=(\d+)/.exec(request.url!)?.[1] ?? 200);
        setTimeout(() => {
          response.writeHead(status, { 'x-ratelimit-limit': '100, 100;w=60', 'x-ratelimit-remaining': '7' });
          response.end();
        }, 30);
      },
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy(door);
    const ask = (path: string, host = 'orders.example.com') => send(path, { host });
    for (let i = 0; i < 5; i++) assert.equal((await ask('/x?user=canary-user')).status, 200);
    assert.equal((await ask('/x?status=404')).status, 404);
    assert.equal((await ask('/x?status=429')).status, 429);
    for (let i = 0; i < 20; i++) await ask(`/${i}`, `elsewhere-${i}.example.com`);

    const wanted = (labels: string, count: number) => `bearerd_requests_total{${labels}} ${count}`;
    const own = (status: string) => `policy="orders",door="${door}",status="${status}"`;
    const lines = [
      wanted(own('2xx'), 5),
      wanted(own('4xx'), 1),
      wanted(own('429'), 1),
      wanted('policy="",door="",status="2xx"', 20),
      `bearerd_request_duration_seconds_bucket{le="0.025",policy="orders",door="${door}"} 0`,
      `bearerd_request_duration_seconds_count{policy="orders",door="${door}"} 7`,
      'bearerd_rate_limit{policy="orders"} 100',
      'bearerd_rate_limit_remaining{policy="orders"} 7',
    ];
    let text = '';
    await until(
      () => `${lines.join('\n')}\nin\n${text.match(/^bearerd_(request|rate).*$/gm)?.join('\n')}`,
      async () => {
        text = await gateway.metrics();
        return lines.every((line) => text.includes(`${line}\n`));
      },
    );
    assert.doesNotMatch(text + gateway.bearerd.output(), /canary|elsewhere/);
  });
}
