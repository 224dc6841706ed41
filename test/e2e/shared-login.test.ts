// One person's login for a fleet: three real bearerd, a real Valkey, and a real provider that rotates strictly and ends the
// login at the second use of a token. One of them is killed in the middle of a call.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { newKey } from '../support/fleet.ts';
import { LOGIN_CLIENT, LOGIN_SECRET, startLoginProvider } from '../support/login-provider.ts';
import { type StartedProcess, startProcess } from '../support/process.ts';
import { startRedis } from '../support/redis.ts';
import { storeLogin } from '../support/stored-login.ts';

const ACCESS_SECONDS = 3;

test('three bearerd share one rotating token over many rotations; one is killed in the middle of a call, and nobody is logged out', async (t) => {
  const redis = await startRedis();
  const provider = await startLoginProvider({ accessSeconds: ACCESS_SECONDS });
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-shared-login-'));
  const started: StartedProcess[] = [];
  t.after(async () => {
    for (const bearerd of started) bearerd.child.kill('SIGCONT');
    await Promise.all(started.map((bearerd) => bearerd.stop()));
    await provider.stop();
    await redis.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const key = newKey();
  const configFile = (name: string) => {
    const own = join(folder, name);
    mkdirSync(own);
    writeFileSync(
      join(own, 'bearerd.yaml'),
      `version: 1
mode: development
listen: { check: "unix://${own}/check.sock" }
shared_cache:
  redis: { address: "127.0.0.1:${redis.port}" }
  tenant: fleet
  keys: [{ inline: ${key} }]
sources:
  calendar:
    required: true
    refresh_token:
      issuer: ${provider.issuer}
      client_id: ${LOGIN_CLIENT}
      client_secret: { inline: "${LOGIN_SECRET}" }
      store: { shared: true }
outbound:
  - { name: calendar, match: { hosts: [calendar.example.com] }, inject: { source: calendar } }
`,
    );
    return join(own, 'bearerd.yaml');
  };
  const files = ['a', 'b', 'c'].map(configFile);
  await storeLogin(files[0]!, 'calendar', await provider.newRefreshToken());
  for (const file of files) {
    started.push(
      await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', file], {
        name: 'bearerd',
      }),
    );
  }
  const published = (bearerd: StartedProcess) =>
    [...bearerd.output().matchAll(/"msg":"credential published"/g)].length;
  const until = async (isSo: () => boolean, limitMs: number, what: string) => {
    const deadline = performance.now() + limitMs;
    while (!isSo()) {
      const outputs = started.map((bearerd) => bearerd.output().slice(-2_000)).join('\n--\n');
      assert.ok(performance.now() < deadline, `${what} not within ${limitMs} ms:\n${outputs}`);
      await sleep(20);
    }
  };
  const sent = () => provider.calls.map(({ refreshToken }) => refreshToken);

  await until(() => provider.calls.length >= 6, 60_000, 'six rotations');
  const hasThree = () => started.every((bearerd) => published(bearerd) >= 3);
  await until(hasThree, 30_000, 'each has the access tokens of all');
  assert.equal(new Set(sent()).size, sent().length, 'no token was sent twice');

  // Two of them stand still right after a rotation, so that the next one is the third's, which dies in it.
  const [dying, ...others] = started as [StartedProcess, StartedProcess, StartedProcess];
  const before = sent().length;
  await until(() => sent().length > before, 30_000, 'another rotation');
  await sleep(500);
  for (const other of others) other.child.kill('SIGSTOP');
  let reached = () => {};
  const there = new Promise<void>((resolve) => {
    reached = resolve;
  });
  provider.before = () => {
    reached();
    return new Promise(() => {});
  };
  await there;
  dying.child.kill('SIGKILL');
  await dying.exited;
  provider.before = () => {};
  // Its lease, 20 s, ends soon: with all of it the others went on after 26 s.
  const [record] = (await redis.call('KEYS', 'bearerd:fleet:*:record')) as [string];
  const lease = record.replace(/record$/, 'lease');
  assert.ok(Number(await redis.call('PTTL', lease)) > 15_000, 'a lease longer than the longest call');
  await redis.call('PEXPIRE', lease, '1000');
  const lost = sent().at(-1)!;
  const calls = sent().length;
  const begun = performance.now();
  for (const other of others) other.child.kill('SIGCONT');
  const had = others.map(published);
  await until(() => others.every((other, i) => published(other) > had[i]! + 1), 45_000, 'the others');
  t.diagnostic(
    `both went on, two access tokens later, ${(performance.now() - begun).toFixed(0)} ms after the kill`,
  );
  assert.deepEqual(
    sent().slice(calls - 1, calls + 1),
    [lost, lost],
    'the token of the lost call is tried again',
  );
  assert.equal(new Set(sent()).size, sent().length - 1, 'and no other one was sent twice');
  for (const bearerd of started) assert.doesNotMatch(bearerd.output(), /login required/);

  // Another person logs in: what the fleet has of the one before goes with it.
  const next = await provider.newRefreshToken();
  await storeLogin(files[1]!, 'calendar', next);
  const loggedIn = performance.now();
  await until(() => sent().includes(next), 20_000, 'the new login');
  t.diagnostic(`a new login was used after ${(performance.now() - loggedIn).toFixed(0)} ms`);
  for (const bearerd of started) {
    for (const token of sent()) assert.ok(!bearerd.output().includes(token!), 'no token in a log');
  }
});
