// npm run pictures: makes docs/images anew, of the status page in a real browser beside real Envoys. Needs chromium.
import { setTimeout as sleep } from 'node:timers/promises';
import { type BrowserContextOptions, chromium } from 'playwright-core';
import { createWorld } from '../demo/world.ts';
import { chromiumBinary } from '../test/support/chromium.ts';

const TOKEN = 'a token for the pictures';
const executablePath = chromiumBinary();
if (executablePath === undefined) throw new Error('no chromium on this machine');

const world = await createWorld({
  lifetimeSeconds: 8,
  check: `unix://FOLDER/check.sock\n  status: { address: "127.0.0.1:0", token: { inline: ${TOKEN} } }`,
  policy: 'heal_on: "401"',
});
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
try {
  const bearerd = await world.startBearerd();
  const [, address] = await bearerd.waitForOutput(
    /"listener":"status","state":"listening","address":"([^"]+)"/,
  );
  await world.ready();
  const check = await world.startEnvoy('check');
  const push = await world.startEnvoy('push', (bootstrap) =>
    bootstrap.replace(/\bid: "?bearerd-example"?/, 'id: checkout-7d9c6b5f4-x2x8q'),
  );
  for (let i = 0; i < 20; i++) await check.send('/v1/orders');
  await push.send('/v1/orders');

  const open = async (options: BrowserContextOptions) => {
    const context = await browser.newContext({
      httpCredentials: { username: 'anybody', password: TOKEN },
      reducedMotion: 'reduce',
      ...options,
    });
    const page = await context.newPage();
    await page.goto(`http://${address}/`);
    return page;
  };
  const headed = async (page: Awaited<ReturnType<typeof open>>, text: RegExp, path: string) => {
    await page.getByRole('heading', { level: 1, name: text }).waitFor({ timeout: 60_000 });
    await page.screenshot({ path });
  };

  const phone = await open({ viewport: { width: 360, height: 1230 }, colorScheme: 'dark' });
  await headed(phone, /^All is well$/, 'docs/images/status-phone.png');

  // So that the pictures have a refusal that was healed, too.
  world.upstream.revoke();
  await push.send('/v1/orders');
  await sleep(1_000);
  await world.provider.stop();
  const desk = await open({ viewport: { width: 1200, height: 1040 } });
  await headed(desk, /^One thing needs you now$/, 'docs/images/status-provider-down.png');
} finally {
  await browser.close();
  await world.stop();
}
