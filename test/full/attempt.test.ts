// What the attempt door must not do over a longer time.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import type { Answer } from '../../demo/world.ts';
import { startExchangeProvider } from '../support/exchange-provider.ts';
import { startGateway } from '../support/gateway.ts';

/** As an operator who also retries what failed at the upstream. */
function retriedOn5xx(bootstrap: string): string {
  const document = parse(bootstrap);
  const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  for (const host of manager.route_config.virtual_hosts) {
    for (const { route } of host.routes) if (route?.retry_policy) route.retry_policy.retry_on += ',5xx';
  }
  return stringify(document);
}

test('an upstream that answers 503 to every first attempt for a minute costs no token call', async (t) => {
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
  t.after(() => provider.stop());
  const tried = new Set<string>();
  const gateway = await startGateway(t, {
    sources: `  orders:
    token_exchange:
      issuer: ${provider.issuer}
      client_id: gateway
      client_secret: { inline: gateway-secret }`,
    upstream(request, response) {
      const id = String(request.headers['x-request-id']);
      response.writeHead(tried.has(id) ? 200 : 503).end();
      tried.add(id);
    },
  });
  const { send } = await gateway.startEnvoy('attempt', { change: retriedOn5xx });
  const users = await Promise.all(Array.from({ length: 20 }, (_, i) => provider.userToken(`user-${i}`)));
  const ask = (i: number) =>
    send(`/v1/${i}`, { headers: { authorization: `Bearer ${users[i % users.length]}` } });
  for (let i = 0; i < users.length; i++) assert.equal((await ask(i)).status, 200);
  assert.equal(provider.calls, users.length);

  const begun = performance.now();
  const pending: Promise<Answer>[] = [];
  for (let i = 0; performance.now() - begun < 60_000; i++) {
    const wait = begun + i * 10 - performance.now();
    if (wait > 1) await sleep(wait);
    pending.push(ask(i));
  }
  const wrong = (await Promise.all(pending)).filter(({ status }) => status !== 200);
  t.diagnostic(`${pending.length} requests, ${tried.size} of them tried twice`);
  assert.deepEqual(wrong, []);
  assert.equal(provider.calls, users.length, 'no token call');
  assert.doesNotMatch(await gateway.metrics(), /^bearerd_feedback_late_total\{.*[1-9]/m);
});
