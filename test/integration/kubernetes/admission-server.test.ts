// The webhook's listener at its end: requests in flight are answered, and nobody who is silent holds it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { createAuthority } from '../../../demo/certificates.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { createAdmissionServer } from '../../../src/server/admission-server.ts';
import { createRecordingObserver } from '../../support/recording-observer.ts';

test('at its end a request in flight is answered, and a silent handshake and half a request hold nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-admission-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const { cert, key } = await (await createAuthority(folder)).issue('webhook', 'server');
  const server = await createAdmissionServer(
    {
      address: { kind: 'tcp', host: '127.0.0.1', port: 0 },
      files: { certificate: cert, privateKey: key },
      observer: createRecordingObserver().observer,
      clock: systemClock,
    },
    (body) => ({ status: 200, body }),
  );
  const port = Number((await server.start()).split(':').at(-1));
  const silent = connectTcp(port, '127.0.0.1').on('error', () => {});
  await once(silent, 'connect');
  const open = async (text: string) => {
    const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {});
    await once(socket, 'secureConnect');
    socket.write(text);
    return socket;
  };
  const head = 'POST /inject HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n';
  await open(`${head}ab`);
  const late = await open(`${head}ab`);
  await sleep(50);

  const begun = performance.now();
  const stopped = server.stop(500);
  late.write('cd');
  const [answer] = (await once(late, 'data')) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200 [\s\S]*abcd$/);
  await stopped;
  const took = performance.now() - begun;
  t.diagnostic(`ended after ${Math.round(took)} ms`);
  assert.ok(took < 2_000, `${took} ms`);
});
