// Each fault of the provider by itself, past the credential's end, through every door. The usual run has them together
// (test/e2e/provider-faults.test.ts).
import type { ServerResponse } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasGo } from '../../tools/parts/go.ts';
import { TESTED_ENVOYS } from '../support/envoy.ts';
import { type OutageWorld, startOutageWorld, underFault } from '../support/outage.ts';
import { type Fault, sendJson, type TokenAnswer } from '../support/scripted-provider.ts';

const LIFE = 4;
const HOLD_MS = LIFE * 1_000 + 2_000;
const withoutGo = (await hasGo()) ? false : 'toxiproxy is built with Go, which is not installed';

const wrong = (change: (good: TokenAnswer) => object): Fault => {
  return async (response, answer) => sendJson(response, 200, change(await answer()));
};
const truncated: Fault = async (response, answer) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '900' });
  response.write(JSON.stringify(await answer()).slice(0, 300), () => response.destroy());
};
const page = (response: ServerResponse) =>
  void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>maintenance</html>');

const ANSWERS: readonly (readonly [string, Fault])[] = [
  ['503', (response) => sendJson(response, 503, {})],
  ['500 with an OAuth error', (response) => sendJson(response, 500, { error: 'server_error' })],
  [
    'a good answer after 6 s',
    async (response, answer) => {
      await sleep(6_000);
      sendJson(response, 200, await answer());
    },
  ],
  ['a connection that is closed without an answer', (response) => void response.destroy()],
  ['a page instead of JSON', page],
  ['JSON that ends in the middle', truncated],
  ['expires_in of zero', wrong((good) => ({ ...good, expires_in: 0 }))],
  ['expires_in that is no number', wrong((good) => ({ ...good, expires_in: 'soon' }))],
  ['expires_in in nanoseconds', wrong((good) => ({ ...good, expires_in: 4e12 }))],
  ['no access_token', wrong(({ token_type }) => ({ token_type }))],
  ['a token of 20 kB', wrong((good) => ({ ...good, access_token: 'a'.repeat(20_000) }))],
  ['a token with a line break', wrong((good) => ({ ...good, access_token: `${good.access_token}\r\nx: 1` }))],
  ['10 MB of JSON', wrong((good) => ({ ...good, padding: 'x'.repeat(10 << 20) }))],
  ['a redirect', (response) => void response.writeHead(307, { location: 'https://localhost:1/' }).end()],
];

describe('each fault by itself', () => {
  let outage: OutageWorld;
  before(async () => {
    outage = await startOutageWorld({ lifetimeSeconds: LIFE, toxiproxy: withoutGo === false });
  });
  after(() => outage.stop());

  for (const [what, fault] of ANSWERS) {
    test(what, async (t) => {
      const { provider } = outage;
      await underFault(t, outage, {
        begin: () => {
          provider.fault = fault;
        },
        end: () => {
          provider.fault = undefined;
        },
        holdMs: HOLD_MS,
      });
    });
  }

  for (const toxic of [
    { type: 'reset_peer', timeout: 0 },
    { type: 'latency', latency: 6_000 },
    { type: 'limit_data', bytes: 300 },
  ] as const) {
    test(`in the network: ${toxic.type}`, { skip: withoutGo }, async (t) => {
      const network = outage.network!;
      await underFault(t, outage, {
        begin: () => network.add(toxic),
        end: () => network.reset(),
        holdMs: HOLD_MS,
        inNetwork: true,
      });
    });
  }

  test('a certificate of another name', async (t) => {
    const { provider, world } = outage;
    await underFault(t, outage, {
      begin: async () => provider.serveWith(await world.authority.issue('elsewhere.example.com', 'server')),
      end: async () => provider.serveWith(await world.authority.issue('localhost', 'server')),
      holdMs: HOLD_MS,
    });
  });
});

for (const version of TESTED_ENVOYS) {
  test(`Envoy ${version}: away past the credential’s end`, async (t) => {
    const outage = await startOutageWorld({ lifetimeSeconds: LIFE, version });
    t.after(() => outage.stop());
    const { provider } = outage;
    await underFault(t, outage, {
      begin: () => provider.stop(),
      end: () => provider.start(),
      holdMs: HOLD_MS,
    });
  });
}
