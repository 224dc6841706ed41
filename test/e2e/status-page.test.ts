// The status page in a real browser beside a real Envoy: what it shows when all is well, when the provider is away, while it
// heals and when bearerd is gone; that it is reachable by everybody and that nothing on it runs but its own script.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as grpc from '@grpc/grpc-js';
import { chromium, type Page } from 'playwright-core';
import { createWorld } from '../../demo/world.ts';
import { findingsOf } from '../../src/app/findings.ts';
import type { Facts } from '../../src/app/status.ts';
import { SECRET_TYPE_URL } from '../../src/doors/push/secret-resource.ts';
import { DiscoveryRequest, DiscoveryResponse } from '../../src/gen/envoy/service/discovery/v3/discovery.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createStatusServer } from '../../src/server/admin.ts';
import { nullObserver } from '../../src/telemetry/observer.ts';
import { chromiumBinary } from '../support/chromium.ts';
import { startGateway } from '../support/gateway.ts';
import { openStream } from '../support/grpc-stream.ts';
import { writeRing } from '../support/key-ring.ts';
import { startProcess } from '../support/process.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';

const TOKEN = 'canary-token-of-the-page';
const executablePath = chromiumBinary();
const skip = executablePath === undefined && 'no chromium on this machine';
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const folder = process.env['ARTIFACTS'] ?? mkdtempSync(join(tmpdir(), 'bearerd-artifacts-'));
mkdirSync(folder, { recursive: true });

interface Watched {
  readonly page: Page;
  /** Of the content security policy, of scripts, of requests to elsewhere. */
  readonly faults: string[];
}

async function openPage(t: TestContext, url: string): Promise<Watched> {
  const browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  t.after(() => browser.close());
  const context = await browser.newContext({
    httpCredentials: { username: 'anybody', password: TOKEN },
    viewport: { width: 1200, height: 900 },
    reducedMotion: 'reduce',
  });
  const page = await context.newPage();
  const faults: string[] = [];
  await page.addInitScript(() => {
    const g = globalThis as unknown as { addEventListener(type: string, f: (e: unknown) => void): void };
    g.addEventListener('securitypolicyviolation', (event) => {
      const { violatedDirective, blockedURI } = event as { violatedDirective: string; blockedURI: string };
      console.error(`violation of ${violatedDirective}: ${blockedURI}`);
    });
  });
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(message.text());
  });
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('dialog', (dialog) => {
    faults.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (asked) => {
    if (!asked.url().startsWith(url)) faults.push(`asked ${asked.url()}`);
  });
  await page.goto(url);
  return { page, faults };
}

/** Looks at one state in every form: rules of axe, width of a phone, no fault; pictures to look at. */
async function inspect({ page, faults }: Watched, state: string): Promise<void> {
  assert.deepEqual(faults, [], state);
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: join(folder, `${state}-${colorScheme}.png`), fullPage: true });
    for (const width of [1200, 360]) {
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate('document.documentElement.scrollWidth');
      assert.ok(Number(wide) <= width, `${state}: ${wide} pixels of ${width}`);
      if (width === 360)
        await page.screenshot({ path: join(folder, `${state}-phone-${colorScheme}.png`), fullPage: true });
      await page.evaluate(axeSource);
      const found = (await page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => html + failureSummary).join(' | ')}`))",
      )) as string[];
      assert.deepEqual(found, [], `${state} ${colorScheme} ${width}`);
    }
    await page.setViewportSize({ width: 1200, height: 900 });
  }
  // The tools of the test put styles and scripts of their own there.
  faults.length = 0;
}

async function heading({ page, faults }: Watched, text: RegExp): Promise<void> {
  const found = page.getByRole('heading', { level: 1, name: text });
  await found.waitFor({ timeout: 40_000 }).catch(async () => {
    const shown = await page.locator('main').ariaSnapshot();
    throw new Error(`no heading ${text}; faults: ${faults.join('; ')}; the page says:\n${shown}`);
  });
}

test('healthy, provider down, healed and gone show in a real browser, for everybody and without a violation', {
  skip,
}, async (t) => {
  const world = await createWorld({
    lifetimeSeconds: 8,
    provider: (given, authority) => startScriptedProvider(given, authority),
    check: `unix://FOLDER/check.sock\n  status: { address: "127.0.0.1:0", token: { inline: ${TOKEN} } }`,
    policy: 'heal_on: "401"',
  });
  t.after(() => world.stop());
  const provider = world.provider as ScriptedProvider;
  const bearerd = await world.startBearerd();
  const [, address] = await bearerd.waitForOutput(
    /"listener":"status","state":"listening","address":"([^"]+)"/,
  );
  const url = `http://${address}/`;
  await world.ready();
  const hostile = '<script>alert(1)</script><img src=x onerror=alert(2)>';
  const check = await world.startEnvoy('check');
  const push = await world.startEnvoy('push', (bootstrap) =>
    bootstrap.replace(/\bid: "?bearerd-example"?/, `id: ${JSON.stringify(hostile)}`),
  );
  for (let i = 0; i < 20; i++) assert.equal((await check.send('/v1/orders')).status, 200);

  assert.equal((await fetch(url)).status, 401, 'nobody without the token');
  const watched = await openPage(t, url);
  const { page, faults } = watched;
  await heading(watched, /^All is well$/);
  await page.getByRole('row', { name: /^orders .*client credentials/ }).waitFor();
  await page.getByRole('row', { name: /20 inject/ }).waitFor();
  const envoys = page.getByRole('region', { name: 'Envoys' });
  await envoys.getByText(hostile).waitFor();
  await envoys.getByText('has it').first().waitFor();
  await inspect(watched, 'healthy');

  // By the keyboard alone: the way past the header, then sections, then Pause.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the state');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.getAttribute("href")'), '#sources');
  await page.getByRole('button', { name: 'Pause' }).focus();
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate('document.activeElement.getAttribute("aria-pressed")'), 'true');
  await page.keyboard.press('Enter');

  // What is revoked is the token that the upstream took last, and a renewal may have come since.
  while (world.upstream.refused === 0) {
    assert.equal((await push.send('/v1/orders')).status, 200);
    world.upstream.revoke();
    const answer = await push.send('/v1/orders');
    assert.equal(answer.status, 200, answer.body);
  }
  await heading(watched, /^Healing$/);
  await page.getByText(/was refused by an upstream; healed: generation/).waitFor();
  await inspect(watched, 'healing');

  await provider.stop();
  const stopped = performance.now();
  await heading(watched, /needs? (a look|you now)$/);
  t.diagnostic(
    `a provider that is away shows after ${((performance.now() - stopped) / 1000).toFixed(1)} s (renewals are due each 4 to 6 s)`,
  );
  await heading(watched, /needs? you now$/);
  await page.getByText(/no credential: source_unavailable/).waitFor();
  await inspect(watched, 'provider-down');
  const [first] = await page.getByRole('listitem').filter({ hasText: 'Critical' }).all();
  assert.ok(first, 'the worst first');

  await provider.start();
  await heading(watched, /^(Healing|All is well)$/);

  bearerd.child.kill('SIGKILL');
  await page
    .getByRole('alert')
    .filter({ hasText: /bearerd does not answer since \d\d:\d\d:\d\d\. What stands below/ })
    .waitFor();
  // A browser itself tells of the connection that was refused.
  assert.deepEqual(
    faults.filter((fault) => !fault.includes('ERR_CONNECTION_REFUSED')),
    [],
  );
  faults.length = 0;
  await page.getByRole('button', { name: 'Pause' }).click();
  await sleep(100);
  faults.length = 0;
  await inspect(watched, 'gone');
  t.diagnostic(`pictures in ${folder}`);
});

test('a secret that Envoy refuses shows, beside several sources, and no name from elsewhere does harm in page or terminal', {
  skip,
}, async (t) => {
  const gateway = await startGateway(t, {
    sources: [
      '  orders: { static: { value: { inline: one } } }',
      '  maps: { api_keys: { ring: ring.yaml } }',
      '  gone: { file: { path: nowhere } }',
    ].join('\n'),
    policy: `on_failure: deny\n${['maps', 'gone'].map((name) => `  - { name: ${name}, match: { hosts: [${name}.example.com] }, inject: { source: ${name} } }`).join('\n')}`,
    settings: 'access_log: full',
    prepare: (folder) => writeRing(folder, [{ id: 'a', state: 'in_use', to: 3 }]),
    status: `{ address: "127.0.0.1:0", token: { inline: ${TOKEN} } }`,
  });
  const [, address] = await gateway.bearerd.waitForOutput(
    /"listener":"status","state":"listening","address":"([^"]+)"/,
  );
  const script = '<script>alert(1)</script><img src=x onerror=alert(2)>';
  const node = `\u202e\u05e9\u05dc\u05d5\u05dd \x1b]0;owned\x07\x1b[31m\nCRITICAL  source orders  is lost\r\n${script}${'w'.repeat(5_000)}`;
  const client = new grpc.Client(
    `unix:${join(gateway.folder, 'xds.sock')}`,
    grpc.credentials.createInsecure(),
  );
  t.after(() => client.close());
  const path = '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets';
  const stream = openStream(client, path, DiscoveryRequest, DiscoveryResponse);
  const ask = (resourceNames: string[], more: object = {}) =>
    stream.send({
      ...DiscoveryRequest.decode(new Uint8Array()),
      node: { id: node, cluster: '' },
      typeUrl: SECRET_TYPE_URL,
      resourceNames,
      ...more,
    });
  ask(['orders', script]);
  const { nonce } = await stream.next();
  ask(['orders', script], { responseNonce: nonce, errorDetail: { code: 3, message: `no ${script}` } });
  await gateway.bearerd.waitForOutput(/secret_rejected/);

  const watched = await openPage(t, `http://${address}/`);
  const { page } = watched;
  await heading(watched, /needs? you now$/);
  const envoys = page.getByRole('region', { name: 'Envoys' });
  await envoys.getByText('refused').first().waitFor();
  await envoys.getByRole('rowheader', { name: script }).waitFor();
  for (const name of ['orders static', 'maps .*keys', 'gone file']) {
    await page.getByRole('row', { name: new RegExp(`^${name}`) }).waitFor();
  }
  assert.doesNotMatch(
    String(await page.evaluate('document.body.textContent + document.title')),
    /[^\n\P{C}]/u,
    'nothing that turns or hides what stands there',
  );
  const verdict = await envoys.getByText('refused').first().boundingBox();
  assert.ok(verdict!.height < 30, `one line beside a name of any length: ${JSON.stringify(verdict)}`);
  const colour = (text: string) =>
    page
      .getByRole('row', { name: /^gone/ })
      .getByText(text)
      .evaluate('(shown) => getComputedStyle(shown).color');
  assert.equal(await colour('secret unreadable'), await colour('none'), 'the reason, too, is red');
  await inspect(watched, 'refused');

  const config = join(gateway.folder, 'bearerd.yaml');
  const asked = await startProcess(process.execPath, ['bin/bearerd.js', 'status', '--config', config]);
  await asked.exited;
  const said = asked.output();
  assert.doesNotMatch(said, /[^\n\P{C}]/u, 'nothing that a terminal would obey');
  assert.match(said, /^CRITICAL +.*refuse/m);
  assert.doesNotMatch(said, /^CRITICAL +source orders/m, 'no line of a stranger');
  assert.match(said, /refused \S+ \S+ ago$/m);
  assert.ok(Math.max(...said.split('\n').map((line) => line.length)) < 400, said);
  assert.match(await gateway.metrics(), /^bearerd_secret_nacks_total 2$/m);
});

test('a thousand sources of which 400 fail: the tables are near, and the page keeps up', {
  skip,
}, async (t) => {
  const now = 1_800_000_000_000;
  const failing = {
    lastFailure: 'source_rejected',
    lastFailureText: 'the provider answered 401: invalid_client',
  };
  const status: Facts = {
    ...{
      version: '1',
      mode: 'production',
      node: 'pod',
      now,
      startedAt: new Date(now).toISOString(),
      missing: [],
    },
    sources: Array.from({ length: 1_000 }, (_, i) => ({
      ...{ source: `source-${i}`, type: 'client_credentials' as const, required: true, subjects: undefined },
      ...{ generation: i < 400 ? undefined : i, expiresAt: now + 600_000, nextRefreshAt: now + 60_000 },
      ...{ publishedAt: now - 60_000, lastHour: [{ minutesAgo: 1, ok: 1 }] },
      ...{ lastFailure: undefined, lastFailureText: undefined, ...(i < 400 ? failing : {}) },
    })),
    configuration: { revision: 1, hash: '', since: '', refused: undefined },
    ...{
      endpoints: [],
      guard: [],
      policies: [],
      unmatched: [],
      feedback: [],
      inboundPolicies: [],
      inputs: [],
    },
    ...{
      subscribers: [],
      subscribersLeftOut: 0,
      certificates: [],
      policyBundle: undefined,
      inbound: undefined,
    },
    ...{ audit: undefined, sharedCache: undefined, spansLost: undefined },
  };
  const server = createStatusServer({
    ...{ address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, hosts: [], token: undefined, tls: undefined },
    ...{ clock: systemClock, observer: nullObserver },
    status: () => ({ ...status, findings: findingsOf(status) }),
  });
  const url = `http://${await server.start()}/`;
  t.after(() => server.stop());
  const begun = performance.now();
  const watched = await openPage(t, url);
  await heading(watched, /^400 things need you now$/);
  t.diagnostic(`shown ${(performance.now() - begun).toFixed(0)} ms after the browser was asked for`);
  const { page } = watched;
  const listed = page.getByRole('list', { name: /the worst first/ }).getByRole('listitem');
  assert.equal(await listed.count(), 21);
  assert.match(
    (await listed.last().textContent())!,
    /380 more: the tables below and "bearerd status" have them/,
  );
  assert.equal(await page.getByRole('region', { name: 'Credentials' }).getByRole('row').count(), 1_001);
  assert.deepEqual(watched.faults, []);
});
