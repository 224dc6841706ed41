// The provider's name gets another address while bearerd runs. nss_wrapper gives bearerd names of its own.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { nssWrapper } from '../../tools/parts/preload.ts';
import { startOutageWorld, underFault } from '../support/outage.ts';

const LIFE = 4;
const HOST = 'idp.test';
const library = await nssWrapper().catch((error: Error) => error);
const skip = library instanceof Error ? library.message : false;

test('the provider moves to another address: found by its name in two calls, nothing lost', {
  skip,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-names-'));
  const hosts = join(folder, 'hosts');
  const pointAt = (address: string) => writeFileSync(hosts, `${address} ${HOST}\n`);
  pointAt('127.0.0.1');
  const outage = await startOutageWorld({
    lifetimeSeconds: LIFE,
    host: HOST,
    env: { LD_PRELOAD: library as string, NSS_WRAPPER_HOSTS: hosts },
  });
  t.after(async () => {
    await outage.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const { provider } = outage;
  let before = 0;
  const { denied, tokenCalls } = await underFault(t, outage, {
    begin: async () => {
      before = provider.issued.length;
      await provider.moveTo('127.0.0.2');
      pointAt('127.0.0.2');
    },
    end: () => {},
    holdMs: LIFE * 1_000,
  });
  assert.deepEqual(denied, []);
  const got = provider.issued.length - before;
  t.diagnostic(`${tokenCalls} calls brought ${got} tokens`);
  assert.ok(got >= 1 && tokenCalls - got <= 1, `${tokenCalls} calls brought ${got}`);
});
