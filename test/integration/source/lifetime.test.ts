// In the running app: a credential lives no longer than max_lifetime and than a JWT's own exp, whatever brings it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnsecuredJWT } from 'jose';
import { createApp } from '../../../src/app/app.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { parseRuntime } from '../../../src/lib/runtime.ts';
import { ringText } from '../../support/key-ring.ts';

const MINUTE = 60_000;

/** Its end is what is read; nobody verifies it. */
const jwt = (lifetime: string) => `${new UnsecuredJWT({}).setExpirationTime(lifetime).encode()}x`;
const execCredential = (token: string) =>
  JSON.stringify({
    apiVersion: 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    status: { token },
  });

test('max_lifetime and exp bound static, file, exec and api_keys alike; what is a JWT past its exp is refused', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-lifetime-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const write = (name: string, text: string) => writeFileSync(join(folder, name), text, { mode: 0o700 });
  write('opaque', 'opaque-key\n');
  write('jwt', jwt('30m'));
  write('ended', jwt('-1m'));
  write('exec-opaque', `#!/bin/sh\necho '${execCredential('opaque')}'\n`);
  write('exec-jwt', `#!/bin/sh\necho '${execCredential(jwt('30m'))}'\n`);
  write('exec-ended', `#!/bin/sh\necho '${execCredential(jwt('-1m'))}'\n`);
  const ring = (name: string, key: string) =>
    write(`ring-${name}`, ringText([{ id: name, state: 'in_use' }]).replace(`key-${name}`, key));
  ring('opaque', 'opaque');
  ring('jwt', 'jwt');
  const ways: Readonly<Record<string, (what: string) => object>> = {
    static: (what) => ({ static: { value: { file: what } } }),
    file: (what) => ({ file: { path: what } }),
    exec: (what) => ({ exec: { command: [`./exec-${what}`], env: ['PATH'] } }),
    api_keys: (what) => ({ api_keys: { ring: `ring-${what}` } }),
  };
  const sources: Record<string, object> = {};
  for (const [kind, way] of Object.entries(ways)) {
    sources[`${kind}-opaque`] = way('opaque');
    sources[`${kind}-opaque-max`] = { max_lifetime: '10m', ...way('opaque') };
    sources[`${kind}-jwt`] = way('jwt');
    sources[`${kind}-jwt-max`] = { max_lifetime: '10m', ...way('jwt') };
    sources[`${kind}-jwt-long-max`] = { max_lifetime: '2h', ...way('jwt') };
    if (kind !== 'api_keys') sources[`${kind}-ended`] = way('ended');
  }
  const text = JSON.stringify({ version: 1, listen: { xds: `unix://${folder}/xds.sock` }, sources });
  const app = await createApp(parseConfig(text, join(folder, 'bearerd.yaml')), {
    clock: systemClock,
    env: { PATH: process.env['PATH'] },
    random: Math.random,
    log: { write: () => {} },
    version: '0',
    runtime: parseRuntime({}, process.versions.node, false),
  });
  t.after(() => app.stop(0));
  await app.start();
  const settled = () =>
    app.store
      .status()
      .every(({ generation, lastFailure }) => generation !== undefined || lastFailure !== undefined);
  for (let i = 0; i < 1_500 && !settled(); i++) await sleep(20);

  const expected: Readonly<Record<string, number | undefined>> = {
    opaque: undefined,
    'opaque-max': 10 * MINUTE,
    jwt: 30 * MINUTE,
    'jwt-max': 10 * MINUTE,
    'jwt-long-max': 30 * MINUTE,
  };
  for (const { source, generation, expiresAt, lastFailure } of app.store.status()) {
    const [kind, ...rest] = source.split('-');
    const what = rest.join('-');
    if (what === 'ended') {
      assert.deepEqual([source, generation, lastFailure], [source, undefined, 'source_invalid_response']);
      continue;
    }
    assert.ok(generation !== undefined, `${source}: ${lastFailure}`);
    const left = expiresAt === undefined ? undefined : expiresAt - Date.now();
    const wanted = expected[what];
    if (wanted === undefined) assert.equal(left, undefined, `${kind} ${what}`);
    else assert.ok(left! <= wanted && left! > wanted - 15_000, `${source}: ${left} of ${wanted}`);
  }
});
