// A provider is stopped: the alert fires in real Prometheus and Alertmanager and reaches whom it belongs to, `bearerd status`
// shows it, the runbook's step cures it, and the alert ends.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { alertmanager as alertmanagerProgram } from '../../tools/parts/alertmanager.ts';
import { debianPackage } from '../../tools/parts/debian.ts';
import { startGateway } from '../support/gateway.ts';
import { writeRing } from '../support/key-ring.ts';
import { startUpstream } from '../support/loopback.ts';
import { startProcess } from '../support/process.ts';
import { type FiringAlert, startAlertmanager, startPrometheus } from '../support/prometheus.ts';
import { startTokenEndpoint } from '../support/token-endpoint.ts';
import { until } from '../support/until.ts';

/**
 * docs/operating.md: what stands in a window or a `for` is divided by 60, so that a minute is a second. Of the days that an
 * alert looks back a few seconds are left.
 */
function shortened(rules: string): string {
  const shorter = (_: string, count: string, unit: string) =>
    `${Math.ceil((Number(count) * { s: 1_000, m: 60_000, h: 3_600_000, d: 300_000, w: 600_000 }[unit as 's' | 'm' | 'h' | 'd' | 'w']) / 60)}ms`;
  return rules
    .replace(/(?<=\[)(\d+)([smhdw])(?=\])/g, shorter)
    .replace(/(?<=\bfor: |\boffset |interval: )(\d+)([smhd])\b/g, shorter);
}

type Told = FiringAlert & { readonly status: 'firing' | 'resolved' };

/** Receivers by path, as teams have them. */
async function startReceivers(t: TestContext) {
  const told = new Map<string, Told[]>();
  const port = await startUpstream(t, (request, response) => {
    void json(request).then((body) => {
      const { alerts } = body as { readonly alerts: readonly Told[] };
      told.set(request.url!, [...(told.get(request.url!) ?? []), ...alerts]);
      response.end();
    });
  });
  const url = `http://127.0.0.1:${port}`;
  const receiver = (name: string) => ({
    name,
    webhook_configs: [{ url: `${url}/${name}`, send_resolved: true }],
  });
  return {
    config: {
      route: {
        ...{ receiver: 'everybody', group_by: ['alertname', 'owner'] },
        ...{ group_wait: '0s', group_interval: '1s', repeat_interval: '1h' },
        routes: ['payments', 'shop'].map((owner) => ({ receiver: owner, matchers: [`owner="${owner}"`] })),
      },
      receivers: ['everybody', 'payments', 'shop'].map(receiver),
    },
    of: (name: string): readonly Told[] => told.get(`/${name}`) ?? [],
  };
}

test('a provider that is stopped calls the owner of its source and nobody else, and its return ends the alert', async (t) => {
  try {
    await Promise.all([debianPackage('prometheus'), alertmanagerProgram()]);
  } catch (error) {
    t.skip((error as Error).message);
    return;
  }
  const [paying, shopping] = [await startTokenEndpoint(t, 5), await startTokenEndpoint(t)];
  const source = (name: string, url: string, owner: string) =>
    `  ${name}: { owner: ${owner}, client_credentials: { token_endpoint: ${url}, client_id: a, client_secret: { inline: s } } }`;
  const gateway = await startGateway(t, {
    sources: [source('orders', paying.url, 'payments'), source('carts', shopping.url, 'shop')].join('\n'),
  });
  await gateway.ready();
  const receivers = await startReceivers(t);
  const alertmanager = await startAlertmanager(t, receivers.config);
  const prometheus = await startPrometheus(t, {
    targets: [gateway.healthUrl.replace('http://', '')],
    rules: [shortened(readFileSync('monitoring/alerts.yaml', 'utf8'))],
    alertmanager: alertmanager.address,
  });
  await until('scraped', async () => (await prometheus.query('bearerd_source_owner')).length === 2);
  await until('no alert', async () => (await alertmanager.alerts()).length === 0);

  await paying.stop();
  const expired = ({ labels, status }: Told): boolean =>
    labels['alertname'] === 'BearerdCredentialExpired' && status === 'firing';
  const firedMs = await until('fired', () => receivers.of('payments').some(expired), 60_000);
  const [alert] = receivers.of('payments').filter(expired);
  assert.equal(alert!.labels['source'], 'orders');
  assert.equal(alert!.labels['severity'], 'critical');
  assert.match(alert!.annotations['summary']!, /source orders ended/);
  const [file, section] = alert!.annotations['runbook_url']!.split('#');
  const heading = readFileSync(file!, 'utf8')
    .match(/^## (\w+)$/gm)!
    .map((line) => line.slice(3).toLowerCase());
  assert.ok(heading.includes(section!), 'the runbook has its section');
  const isTold = async () =>
    (await alertmanager.alerts()).some(({ labels }) => labels['owner'] === 'payments');
  await until('Alertmanager has it', isTold);
  assert.deepEqual(receivers.of('shop'), []);

  const status = async () => {
    const config = join(gateway.folder, 'bearerd.yaml');
    const run = await startProcess(process.execPath, ['bin/bearerd.js', 'status', '--config', config]);
    await run.exited;
    return run.output();
  };
  // The alert may come before the failure that opens the breaker.
  const broken = new RegExp(`${paying.url} +(open|half_open)`);
  await until('the breaker open', async () => broken.test(await status()), 10_000);
  const during = await status();
  assert.match(during, /^orders .*source_unavailable/m);
  assert.doesNotMatch(during, /^carts .*source_/m);

  // The runbook: nothing is to be done here; probes bring it back within a second of its return.
  await paying.start();
  const backMs = await until('back', async () => /^orders(?!.*source_)/m.test(await status()));
  const resolved = ({ labels, status: now }: Told): boolean =>
    labels['alertname'] === 'BearerdCredentialExpired' && now === 'resolved';
  const resolvedMs = await until('resolved', () => receivers.of('payments').some(resolved), 60_000);
  assert.deepEqual(receivers.of('shop'), []);
  t.diagnostic(
    `told ${firedMs.toFixed(0)} ms after the stop, back ${backMs.toFixed(0)} ms and resolved ${resolvedMs.toFixed(0)} ms after the start`,
  );
});

test('a key that is used far more than in its own week calls the owner of its source, named by its id', async (t) => {
  try {
    await debianPackage('prometheus');
  } catch (error) {
    t.skip((error as Error).message);
    return;
  }
  const gateway = await startGateway(t, {
    sources: '  orders: { owner: geo, api_keys: { ring: ring.yaml } }',
    prepare: (folder) => writeRing(folder, [{ id: 'k-1', state: 'in_use', value: 'key', to: 90 }]),
  });
  await gateway.ready();
  const { send } = await gateway.startEnvoy('check');
  const rules = readFileSync('monitoring/alerts.yaml', 'utf8');
  assert.match(rules, /increase1h > 1000$/m);
  const prometheus = await startPrometheus(t, {
    targets: [gateway.healthUrl.replace('http://', '')],
    rules: [shortened(rules.replace(/(increase1h) > 1000$/m, '$1 > 50'))],
  });
  const traffic = async (host: string, perSecond: number, is: () => Promise<boolean>) => {
    for (const end = performance.now() + 60_000; !(await is()) && performance.now() < end; ) {
      await Promise.all(Array.from({ length: perSecond / 5 }, () => send('/x', { host })));
      await sleep(200);
    }
  };
  const has = (expr: string) => async () => (await prometheus.query(expr)).length > 0;
  await traffic('orders.example.com', 5, has('bearerd:credential_uses:increase1h{key="k-1"} offset 6s'));
  const alert = 'ALERTS{alertname="BearerdKeyUseUnusual",alertstate="firing"}';
  assert.deepEqual(await prometheus.query(alert), []);
  // It fires until the burst is a part of what it is compared with.
  let firing: Awaited<ReturnType<typeof prometheus.query>> = [];
  await traffic('orders.example.com', 100, async () => {
    firing = await prometheus.query(alert);
    return firing.length > 0;
  });
  assert.equal(firing.length, 1);
  const { source, key, owner, severity } = firing[0]!.metric;
  assert.deepEqual(
    { source, key, owner, severity },
    { source: 'orders', key: 'k-1', owner: 'geo', severity: 'warning' },
  );
});
