// The fault matrix of the identity provider: real traffic through every door while it is away, slow or wrong. Every row
// wants the same (test/support/outage.ts); docs/outages.md has the rows with what was measured.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasGo } from '../../tools/parts/go.ts';
import { freshCredential, type OutageWorld, startOutageWorld, underFault } from '../support/outage.ts';
import { sendJson } from '../support/scripted-provider.ts';
import { startTraffic } from '../support/traffic.ts';

/** Seconds; refreshed after half of it. */
const LIFE = 4;
const LIFE_MS = LIFE * 1_000;
/** Where the credential must outlive the fault and what a busy machine needs after it. */
const LONG_LIFE = 6;
const withoutGo = (await hasGo()) ? false : 'toxiproxy is built with Go, which is not installed';

describe('while the provider is wrong', () => {
  let outage: OutageWorld;
  before(async () => {
    outage = await startOutageWorld({ lifetimeSeconds: LIFE, toxiproxy: withoutGo === false });
  });
  after(() => outage.stop());

  test('away for 60 % of the credential’s life: nobody notices', async (t) => {
    const { provider } = outage;
    provider.lifetimeSeconds = LONG_LIFE;
    const { denied } = await underFault(t, outage, {
      begin: () => provider.stop(),
      end: () => {
        provider.lifetimeSeconds = LIFE;
        return provider.start();
      },
      holdMs: LONG_LIFE * 600,
    });
    assert.deepEqual(denied, []);
  });

  test('away past the credential’s end: 503 with the reason from then on, and not before', async (t) => {
    const { provider } = outage;
    const { denied } = await underFault(t, outage, {
      begin: () => provider.stop(),
      end: () => provider.start(),
      holdMs: LIFE_MS + 2_000,
    });
    assert.ok(denied.length > 20, `${denied.length} denied`);
  });

  test('429 with Retry-After: no call before its end', async (t) => {
    const { provider } = outage;
    const callsBefore = provider.calls.length;
    await underFault(t, outage, {
      begin: () => {
        provider.fault = (response) => sendJson(response, 429, {}, { 'retry-after': '2' });
      },
      end: () => {
        provider.fault = undefined;
      },
      holdMs: LIFE_MS + 1_500,
      retryAfterMs: 2_000,
    });
    // The first one while a credential lives may come again after a third of the time left.
    const gaps = provider.calls.slice(callsBefore).map((at, i, all) => at - (all[i - 1] ?? 0));
    t.diagnostic(`milliseconds between calls: ${gaps.slice(1).join(', ')}`);
    assert.ok(
      gaps.slice(1).every((gap) => gap > 400),
      'none before a third of what was left',
    );
  });

  test('a connection that swallows everything', { skip: withoutGo }, async (t) => {
    const network = outage.network!;
    await underFault(t, outage, {
      begin: () => network.add({ type: 'timeout', timeout: 0 }, 'upstream'),
      end: () => network.reset(),
      holdMs: LIFE_MS + 1_500,
      inNetwork: true,
    });
  });

  test('answers that are no tokens: each is refused, the old credential stays', async (t) => {
    const { provider, world } = outage;
    let next = 0;
    await underFault(t, outage, {
      begin: () => {
        provider.fault = async (response, answer) => {
          const good = await answer();
          const reply = (body: object) => sendJson(response, 200, { ...good, ...body });
          const wrong = [
            () => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>maintenance</html>'),
            () => {
              response.writeHead(200, { 'content-type': 'application/json', 'content-length': '900' });
              response.write(JSON.stringify(good).slice(0, 300), () => response.destroy());
            },
            () => reply({ expires_in: 0 }),
            () => reply({ access_token: 'a'.repeat(20_000) }),
            () => reply({ access_token: `${good.access_token}\r\nx-admin: 1` }),
            () => reply({ padding: 'x'.repeat(10 << 20) }),
            () => response.writeHead(307, { location: `https://localhost:${provider.port}/canary` }).end(),
            () => reply({ expires_in: 'soon' }),
          ];
          wrong[next++ % wrong.length]!();
        };
      },
      end: () => {
        provider.fault = undefined;
      },
      holdMs: LIFE_MS + 2_000,
    });
    t.diagnostic(`${next} wrong answers`);
    assert.ok(next >= 5);
    assert.equal(world.upstream.doubled, 0);
  });

  test('a certificate that has ended: no token is fetched over it', async (t) => {
    const { provider, world } = outage;
    const good = () => world.authority.issue('localhost', 'server');
    const callsBefore = provider.calls.length;
    let arrived = 0;
    await underFault(t, outage, {
      begin: async () => {
        provider.serveWith(await world.authority.issue('localhost', 'server', { lifetimeMs: -60_000 }));
        arrived = provider.calls.length;
      },
      end: async () => {
        assert.equal(provider.calls.length, arrived, 'no call arrived');
        provider.serveWith(await good());
      },
      holdMs: LIFE_MS + 1_000,
    });
    assert.ok(provider.calls.length > callsBefore);
  });

  test('the client secret is changed at the provider: nothing lost, and the new file is read within 2 s', async (t) => {
    const { provider, world } = outage;
    provider.lifetimeSeconds = LONG_LIFE;
    await underFault(t, outage, {
      begin: () => {
        provider.clientSecret = 'rotated';
      },
      end: () => {
        provider.lifetimeSeconds = LIFE;
        return writeFile(`${world.folder}/secret`, 'rotated\n');
      },
      holdMs: LONG_LIFE * 500,
    });
  });

  test('lifetimes cut to a fifth while it runs, and back: nothing lost', async (t) => {
    const { provider } = outage;
    provider.lifetimeSeconds = 15;
    await freshCredential(provider);
    provider.lifetimeSeconds = 3;
    const { tokenCalls } = await underFault(t, outage, {
      begin: () => {},
      end: () => {
        provider.lifetimeSeconds = LIFE;
      },
      holdMs: 6_000,
    });
    assert.ok(tokenCalls >= 3, `${tokenCalls} renewals`);
  });

  test('everything revoked at once: push and attempt lose nothing, check what comes before the renewal', async (t) => {
    const { world, provider, doors } = outage;
    await freshCredential(provider);
    const traffic = startTraffic(doors, 100);
    await sleep(500);
    const callsBefore = provider.calls.length;
    world.upstream.revoke();
    const revoked = Date.now();
    await sleep(1_000);
    const sent = await traffic.stop();
    const refused = sent.filter(({ status }) => status !== 200);
    const last = Math.max(revoked, ...refused.map(({ at, ms }) => at + ms)) - revoked;
    t.diagnostic(
      `${sent.length} requests, ${refused.length} refused, all of check, the last ${last.toFixed(0)} ms after the revocation (at most 1000), ${provider.calls.length - callsBefore} token calls`,
    );
    assert.deepEqual(
      refused.filter(({ door, status }) => door !== 'check' || status !== 401),
      [],
    );
    assert.ok(last <= 1_000, `${last} ms`);
    assert.ok(provider.calls.length - callsBefore <= 2);
  });
});
