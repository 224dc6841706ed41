// Per-user tokens through the check door of a real Envoy, exchanged by a real provider.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Door } from '../../src/doors/generate/plan.ts';
import { startExchangeProvider } from '../support/exchange-provider.ts';
import { startGateway } from '../support/gateway.ts';

async function start(t: TestContext, more = '', policy = '', door: Door = 'check') {
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
  t.after(() => provider.stop());
  const gateway = await startGateway(t, {
    sources: `  orders:
    token_exchange:
      issuer: ${provider.issuer}
      client_id: gateway
      client_secret: { inline: gateway-secret }
      audience: urn:orders${more}`,
    policy,
  });
  const { send } = await gateway.startEnvoy(door);
  return { provider, gateway, send };
}

interface Seen {
  readonly authorization?: string;
  readonly [header: string]: string | undefined;
}

test('each upstream request carries the token of its own user, who is exchanged once', async (t) => {
  const { provider, send } = await start(t);
  const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
  const tokens = new Map(
    await Promise.all(users.map(async (u) => [u, await provider.userToken(u)] as const)),
  );
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      users.map(async (user) => {
        // One constant request id: it must not select a credential.
        const headers = { authorization: `Bearer ${tokens.get(user)}`, 'x-request-id': 'same' };
        const { status, body } = await send('/v1/orders', { headers });
        assert.equal(status, 200, body);
        const { authorization } = JSON.parse(body) as Seen;
        const claims = await provider.verify(authorization!.replace('Bearer ', ''));
        assert.deepEqual([claims['sub'], claims['aud']], [user, 'urn:orders']);
      }),
    );
  }
  assert.equal(provider.calls, users.length);
});

test('a subject token in a header of its own never reaches the upstream, with a credential or without', async (t) => {
  const { provider, send } = await start(t, '\n      subject_token: { header: x-user }', 'on_failure: pass');
  const user = await provider.userToken('ann');
  const good = JSON.parse((await send('/x', { headers: { 'x-user': user } })).body) as Seen;
  assert.equal((await provider.verify(good.authorization!.replace('Bearer ', '')))['sub'], 'ann');
  assert.equal(good['x-user'], undefined);
  const forged = { 'x-user': 'not-a-token', authorization: 'Bearer of-the-app' };
  const passed = JSON.parse((await send('/x', { headers: forged })).body) as Seen;
  assert.equal(passed['x-user'], undefined);
  assert.equal(passed.authorization, undefined);
});

test('what the app sees without a usable subject token says whose fault it is', async (t) => {
  const { provider, gateway, send } = await start(t);
  const of = async (authorization?: string) => {
    const answer = await send('/x', { headers: authorization === undefined ? {} : { authorization } });
    return [answer.status, answer.headers['x-bearerd-reason'], answer.headers['www-authenticate']];
  };
  const [ann, bob] = [await provider.userToken('ann'), await provider.userToken('bob')];
  assert.deepEqual(await of(), [401, 'subject_missing', 'Bearer']);
  assert.deepEqual(await of(`Bearer ${ann},Bearer ${bob}`), [400, 'subject_malformed', undefined]);
  assert.deepEqual(await of(`Basic ${btoa('a:b')}`), [400, 'subject_malformed', undefined]);
  assert.deepEqual(await of('Bearer made-up'), [401, 'subject_rejected', 'Bearer error="invalid_token"']);
  const { calls } = provider;
  assert.deepEqual(await of('Bearer made-up'), [401, 'subject_rejected', 'Bearer error="invalid_token"']);
  assert.equal(provider.calls, calls, 'a refusal is remembered');
  provider.status = 503;
  assert.deepEqual(await of(`Bearer ${bob}`), [503, 'source_unavailable', undefined]);
  assert.doesNotMatch(gateway.bearerd.output(), new RegExp(`${ann.slice(-20)}|${bob.slice(-20)}|made-up`));
});

for (const door of ['check', 'attempt'] as const) {
  test(`${door}: a thousand requests of one new user at once are one exchange`, async (t) => {
    const { provider, send } = await start(t, '', '', door);
    const authorization = `Bearer ${await provider.userToken('ann')}`;
    // Longer than it takes Envoy to take in the thousand.
    provider.delayMs = 1_000;
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => send('/v1/orders', { headers: { authorization } })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const tokens = new Set(answers.map(({ body }) => (JSON.parse(body) as Seen).authorization));
    assert.equal(tokens.size, 1);
    assert.equal((await provider.verify([...tokens][0]!.replace('Bearer ', '')))['sub'], 'ann');
    assert.equal(provider.calls, 1);
  });
}
