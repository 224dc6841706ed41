// One provider in two regions, each a server of its own: which is asked when, and what it costs.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { parseConfig } from '../../../src/config/parse.ts';
import type { IssueRequest } from '../../../src/credential/credential.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import type { ConfigError } from '../../../src/lib/errors.ts';
import { createEndpoints } from '../../../src/source/endpoint/endpoints.ts';
import { createGuardedTokenSource } from '../../../src/source/endpoint/guarded-source.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { until } from '../../support/until.ts';

type Mode = 'up' | 'away' | 'silent' | 'refuses';

async function region(name: string) {
  const state = { mode: 'up' as Mode, calls: 0 };
  const server = createServer((_, response) => {
    state.calls++;
    if (state.mode === 'silent') return;
    const status = { up: 200, away: 503, refuses: 400 }[state.mode];
    const body =
      status === 200
        ? { access_token: name, token_type: 'Bearer', expires_in: 60 }
        : { error: 'invalid_scope' };
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return { state, server, url: `http://127.0.0.1:${port}/token` };
}

test('the first region that is there gives the credential; one known to be away costs no time; a refusal is final', async (t) => {
  const [first, second] = [await region('first'), await region('second')];
  const config = parseConfig(
    `version: 1
mode: development
listen: { check: unix:///tmp/x.sock }
sources:
  orders:
    client_credentials:
      token_endpoint: ${first.url}
      regions: [${second.url}]
      client_id: me
      client_secret: { inline: secret }
`,
    'bearerd.yaml',
  );
  const endpoints = createEndpoints({
    clock: systemClock,
    random: Math.random,
    observer: nullObserver,
    refreshesPerHour: undefined,
  });
  const deps = { clock: systemClock, env: {}, observer: nullObserver };
  const source = await createGuardedTokenSource(config.sources[0]!, deps, endpoints);
  t.after(async () => {
    await source.close?.();
    for (const { server } of [first, second]) {
      server.close();
      server.closeAllConnections();
    }
  });
  const issue = async () => {
    const begun = performance.now();
    const request: IssueRequest = {
      signal: AbortSignal.timeout(10_000),
      neededBy: systemClock.monotonic() + 3_000,
      refused: undefined,
      subject: undefined,
    };
    const { value } = await source.issue(request);
    return { from: value.reveal(), ms: performance.now() - begun };
  };

  assert.equal((await issue()).from, 'first');
  first.state.mode = 'away';
  for (let i = 0; i < 5; i++) assert.equal((await issue()).from, 'second');
  const { calls } = first.state;
  for (let i = 0; i < 5; i++) assert.equal((await issue()).from, 'second');
  assert.equal(first.state.calls, calls, 'its breaker is open');
  assert.deepEqual(
    endpoints.status().map(({ breaker }) => breaker),
    ['open', 'closed'],
  );

  first.state.mode = 'up';
  await until('a probe found it back', async () => (await issue()).from === 'first');

  first.state.mode = 'silent';
  const slow = await issue();
  t.diagnostic(`a silent first region: ${slow.ms.toFixed(0)} ms (at most 2000)`);
  assert.equal(slow.from, 'second');
  assert.ok(slow.ms < 2_000, `${slow.ms} ms`);

  first.state.mode = 'refuses';
  const before = second.state.calls;
  await assert.rejects(issue(), { code: 'source_rejected' });
  assert.equal(second.state.calls, before, 'who understood and said no says so everywhere');

  first.state.mode = 'away';
  second.state.mode = 'away';
  await assert.rejects(issue(), { code: 'source_unavailable' });
});

const CONFIG = `version: 1
listen: { check: unix:///tmp/x.sock }
sources:
  orders:
    KIND:
      token_endpoint: https://eu.example.com/token
      regions: [https://us.example.com/token, PLACE]
      client_id: me
      client_secret: { env: S }
`;
const problemsOf = (text: string): string[] => {
  try {
    parseConfig(text, 'x');
    return [];
  } catch (error) {
    return (error as ConfigError).problems.map(({ path, line, message }) => `${path} (${line}): ${message}`);
  }
};

test('a region over plain http is refused at its own place, and a refresh token has no regions', () => {
  const plain = CONFIG.replace('KIND', 'client_credentials').replace('PLACE', 'http://127.0.0.1:1/token');
  assert.deepEqual(problemsOf(plain), [
    'sources.orders.client_credentials.regions[1] (7): expected https://; http to loopback needs mode: development',
  ]);
  const refresh = `${CONFIG.replace('KIND', 'refresh_token').replace(', PLACE', '')}      store: { file: x, key: { env: K } }\n`;
  assert.match(problemsOf(refresh).join(), /refresh_token\.regions.*must not be sent to another/);
});
