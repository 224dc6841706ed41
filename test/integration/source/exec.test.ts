// The exec source with real programs: what it prints, what it inherits, and that nothing of it outlives its limit.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UnsecuredJWT } from 'jose';
import { systemClock } from '../../../src/lib/clock.ts';
import { createTokenSource } from '../../../src/source/registry.ts';
import { nullObserver } from '../../../src/telemetry/observer.ts';
import { issued, issueFailure } from '../../support/issue.ts';
import { until } from '../../support/until.ts';

const folder = mkdtempSync(join(tmpdir(), 'bearerd-exec-'));
after(() => rmSync(folder, { recursive: true }));

let scripts = 0;
function script(body: string, options: { timeoutMs?: number; args?: string[]; env?: string[] } = {}) {
  const file = join(folder, `script-${++scripts}`);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o700);
  return createTokenSource(
    {
      name: 'orders',
      required: false,
      maxLifetimeMs: undefined,
      type: 'exec',
      command: [file, ...(options.args ?? [])],
      env: options.env ?? [],
      timeoutMs: options.timeoutMs ?? 4_000,
    },
    { clock: systemClock, env: { INHERITED: 'yes', HIDDEN: 'canary' }, observer: nullObserver },
  );
}

const credential = (token: string, end?: number) =>
  JSON.stringify({
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token, ...(end === undefined ? {} : { expirationTimestamp: new Date(end).toISOString() }) },
  });
const print = (text: string) => `cat <<'END'\n${text}\nEND`;

/** Also a process that ended but was not yet reaped by whoever inherited it counts as ended. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

test('the printed credential is taken with its end', async () => {
  const { value, lifetimeMs } = await issued(await script(print(credential('t-1', Date.now() + 600_000))));
  assert.equal(value.reveal(), 't-1');
  assert.ok(lifetimeMs! > 590_000 && lifetimeMs! <= 600_000);
});

test('the exp of a JWT bounds a later end, and counts alone where there is none', async () => {
  const token = `${new UnsecuredJWT({}).setExpirationTime('2m').encode()}x`;
  for (const end of [Date.now() + 600_000, undefined]) {
    const { lifetimeMs } = await issued(await script(print(credential(token, end))));
    assert.ok(lifetimeMs! > 110_000 && lifetimeMs! <= 120_000, String(lifetimeMs));
  }
});

test('arguments reach the program as they are, and of the environment only what is named', async () => {
  const body = `printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s|%s|%s|%s"}}' "$1" "$INHERITED" "$HIDDEN" "$(echo "$KUBERNETES_EXEC_INFO" | cut -c1-1)"`;
  const { value } = await issued(await script(body, { args: ['$(id); `id`'], env: ['INHERITED'] }));
  assert.equal(value.reveal(), '$(id); `id`|yes||{');
});

test('a failing program is named by its code; what it said on standard error is not', async () => {
  const error = await issueFailure(await script('echo canary >&2; exit 3'));
  assert.equal(error.code, 'source_rejected');
  assert.match(error.message, /code 3 and 7 bytes on standard error/);
  assert.doesNotMatch(error.message, /canary/);
});

test('a missing program, no credential, too much output and an expired one each have their reason', async () => {
  const source = await script('');
  const missing = await createTokenSource(
    {
      name: 'x',
      required: false,
      maxLifetimeMs: undefined,
      type: 'exec',
      command: [join(folder, 'none')],
      env: [],
      timeoutMs: 1_000,
    },
    { clock: systemClock, env: {}, observer: nullObserver },
  );
  assert.match((await issueFailure(missing)).message, /cannot be started: ENOENT/);
  assert.match((await issueFailure(source)).message, /not JSON/);
  assert.match((await issueFailure(await script('yes canary'))).message, /more than 65536 bytes/);
  assert.match(
    (await issueFailure(await script(print(credential('t', Date.now() - 1_000))))).message,
    /has expired/,
  );
});

test('at the limit the program is killed with all that it started', async (t) => {
  const pids = join(folder, 'pids');
  const source = await script(`sleep 300 &\necho $! $$ > ${pids}\nwait`, { timeoutMs: 1_500 });
  const begun = performance.now();
  const error = await issueFailure(source);
  const ms = performance.now() - begun;
  t.diagnostic(`ended after ${ms.toFixed(0)} ms (limit 1500)`);
  assert.equal(error.code, 'source_timeout');
  assert.ok(ms < 4_000, `${ms} ms`);
  const [child, shell] = readFileSync(pids, 'utf8').trim().split(' ').map(Number);
  await until('both ended', () => !isAlive(child!) && !isAlive(shell!));
  assert.deepEqual([isAlive(child!), isAlive(shell!)], [false, false]);
});

test('what a program leaves running neither delays its credential nor lives on', async () => {
  const pid = join(folder, 'left');
  const begun = performance.now();
  await issued(await script(`sleep 300 &\necho $! > ${pid}\n${print(credential('t'))}`));
  assert.ok(performance.now() - begun < 3_000);
  const left = Number(readFileSync(pid, 'utf8'));
  await until('what it left ended', () => !isAlive(left));
  assert.equal(isAlive(left), false);
});

test('a shutdown ends the program', async () => {
  const pid = join(folder, 'shutdown');
  const source = await script(`echo $$ > ${pid}\nsleep 300`);
  const controller = new AbortController();
  const failure = issueFailure(source, { signal: controller.signal });
  await until('it runs', () => existsSync(pid) && readFileSync(pid, 'utf8') !== '');
  controller.abort();
  assert.equal((await failure).code, 'source_timeout');
  const shell = Number(readFileSync(pid, 'utf8'));
  await until('it ended', () => !isAlive(shell));
  assert.equal(isAlive(shell), false);
});
