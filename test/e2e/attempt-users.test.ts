// Per-user exchanged tokens through the attempt door, revoked under load: no app sees a 401, and nobody gets another's.
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import type { Answer } from '../../demo/world.ts';
import { startExchangeProvider } from '../support/exchange-provider.ts';
import { startGateway } from '../support/gateway.ts';

const USERS = 100;
const PER_SECOND = 300;
const SECONDS = 10;
const PROVIDER_MS = 100;
const MAX_OPEN = 300;

/** An API that knows whose token it wants: the path names the user. */
function createApi() {
  const revoked = new Set<string>();
  const current = new Map<string, string>();
  const seen = { refused: 0, wrong: 0 };
  return {
    seen,
    revoke(user: string): void {
      const token = current.get(user);
      if (token !== undefined) revoked.add(token);
    },
    answer(request: IncomingMessage, response: ServerResponse): void {
      const user = request.url!.split('/')[2]!;
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
      const { sub, aud } = decodeJwt(token);
      if (sub !== user || aud !== 'urn:orders') seen.wrong++;
      if (revoked.has(token)) {
        seen.refused++;
        response.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end();
        return;
      }
      current.set(user, token);
      response.end(user);
    },
  };
}

interface Run {
  readonly what: string;
  readonly requestId?: string;
  /** Starts when the load does; one call of `revoke` a user. */
  revocations(users: readonly string[], revoke: (user: string) => void): Promise<void>;
}

const RUNS: readonly Run[] = [
  {
    what: 'revoked one by one',
    async revocations(users, revoke) {
      await sleep(1_000);
      for (const user of users) {
        revoke(user);
        await sleep(60);
      }
    },
  },
  {
    what: 'revoked all at once',
    async revocations(users, revoke) {
      await sleep(3_000);
      for (const user of users) revoke(user);
    },
  },
  {
    what: 'revoked all at once, every request under one x-request-id',
    requestId: 'always-the-same',
    async revocations(users, revoke) {
      await sleep(3_000);
      for (const user of users) revoke(user);
    },
  },
];

for (const { what, requestId, revocations } of RUNS) {
  test(`${USERS} users at ${PER_SECOND} requests/s for ${SECONDS} s, ${what}: nothing but 200`, async (t) => {
    const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'gateway-secret' });
    t.after(() => provider.stop());
    const api = createApi();
    const gateway = await startGateway(t, {
      sources: `  orders:
    token_exchange:
      issuer: ${provider.issuer}
      client_id: gateway
      client_secret: { inline: gateway-secret }
      audience: urn:orders`,
      upstream: api.answer,
      settings:
        'limits: { forced_refreshes_per_hour: 10000, refreshes_per_hour: 10000, first_fetches_per_second: 1000 }',
    });
    const { send } = await gateway.startEnvoy('attempt');
    const users = Array.from({ length: USERS }, (_, i) => `user-${i}`);
    const tokens = new Map<string, string>();
    for (const user of users) tokens.set(user, await provider.userToken(user));
    const ask = (user: string) =>
      send(`/users/${user}`, {
        headers: {
          authorization: `Bearer ${tokens.get(user)}`,
          ...(requestId === undefined ? {} : { 'x-request-id': requestId }),
        },
      });
    for (const user of users) assert.equal((await ask(user)).status, 200);
    assert.equal(provider.calls, USERS);
    provider.delayMs = PROVIDER_MS;

    const begun = performance.now();
    const revoking = revocations(users, api.revoke);
    const pending: Promise<Answer>[] = [];
    let open = 0;
    for (let i = 0; i < PER_SECOND * SECONDS; i++) {
      const wait = begun + (i * 1_000) / PER_SECOND - performance.now();
      if (wait > 1) await sleep(wait);
      // A machine that cannot keep up takes longer, instead of letting requests pile up in this process.
      while (open >= MAX_OPEN) await sleep(5);
      open++;
      pending.push(ask(users[i % USERS]!).finally(() => open--));
    }
    const answers = await Promise.all(pending);
    await revoking;
    const statuses: Record<string, number> = {};
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
    const slowest = Math.max(...answers.map(({ ms }) => ms));
    t.diagnostic(
      `${JSON.stringify(statuses)}, slowest ${slowest.toFixed(0)} ms, ${provider.calls - USERS} token calls, ${api.seen.refused} refused attempts`,
    );
    assert.deepEqual(statuses, { 200: PER_SECOND * SECONDS });
    assert.equal(provider.calls - USERS, USERS, 'one token call a revoked user');
    assert.equal(api.seen.wrong, 0, 'each upstream request named its own user');
    assert.doesNotMatch(await gateway.metrics(), /^bearerd_feedback_late_total\{.*[1-9]/m);
  });
}
