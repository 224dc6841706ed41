// The Check listener with TLS: who may connect, and new certificate files while it runs.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { type Authority, type CertificateFiles, createAuthority } from '../../demo/certificates.ts';
import type { Front } from '../../src/server/front.ts';
import { frameMessage } from '../../src/server/grpc-wire.ts';
import { createRawFront } from '../../src/server/raw-front.ts';
import { createRecordingObserver, type RecordingObserver } from '../support/recording-observer.ts';
import { until } from '../support/until.ts';

const ALLOWED = 'spiffe://cluster.local/ns/prod/sa/checkout';

describe('the Check listener with TLS', () => {
  let folder: string;
  let authority: Authority;
  let client: CertificateFiles;
  let recorded: RecordingObserver;
  let front: Front;
  let port: number;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bearerd-tls-'));
    authority = await createAuthority(folder);
    client = await authority.issue('checkout', 'client', { uris: [ALLOWED] });
    await use(await authority.issue('first', 'server'));
    recorded = createRecordingObserver();
    front = createRawFront(new Map([['/t.T/Echo', (message) => message]]), {
      observer: recorded.observer,
      name: 'check',
      tls: {
        certificate: join(folder, 'tls.crt'),
        privateKey: join(folder, 'tls.key'),
        clientCa: authority.ca,
        allowedUris: ['spiffe://cluster.local/ns/prod/*'],
      },
    });
    const address = await front.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
    port = Number(address.split(':')[1]);
  });
  after(async () => {
    await front.drain(100);
    await rm(folder, { recursive: true, force: true });
  });

  /** Key first, as a careless copy would: for an instant the two do not belong together. */
  async function use({ cert, key }: CertificateFiles): Promise<void> {
    await cp(key, join(folder, 'tls.key'));
    await cp(cert, join(folder, 'tls.crt'));
  }

  function options(own: CertificateFiles | undefined, more: object = {}) {
    return {
      host: '127.0.0.1',
      port,
      ca: readFileSync(authority.ca),
      checkServerIdentity: () => undefined,
      ALPNProtocols: ['h2'],
      ...(own ? { cert: readFileSync(own.cert), key: readFileSync(own.key) } : {}),
      ...more,
    };
  }

  /** What the call is answered, or how the connection failed. */
  function call(own: CertificateFiles | undefined, more: object = {}): Promise<string> {
    return new Promise((resolve) => {
      const session = http2.connect(`https://127.0.0.1:${port}`, options(own, more));
      const end = (result: string) => {
        resolve(result);
        session.destroy();
      };
      session.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
      session.on('close', () => end('closed'));
      // Who is refused may be left without an answer.
      setTimeout(() => end('no answer'), own === client ? 10_000 : 500).unref();
      const stream = session.request({
        ':method': 'POST',
        ':path': '/t.T/Echo',
        'content-type': 'application/grpc',
      });
      stream.on('error', () => {});
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => chunks.length > 0 && end(Buffer.concat(chunks).subarray(5).toString()));
      stream.end(frameMessage(Buffer.from('hello')));
    });
  }

  const faults = () => recorded.named('peerFault').map(([, fault]) => fault);

  async function faultOf(run: () => Promise<unknown>): Promise<unknown[]> {
    const before = faults().length;
    await run();
    for (let i = 0; i < 2_000 && faults().length === before; i++) await sleep(10);
    return faults().slice(before);
  }

  test('a client whose URI name is allowed is served', async () => {
    assert.equal(await call(client), 'hello');
  });

  test('a client of the authority with another name, or none, or two, is refused and counted', async () => {
    for (const uris of [
      ['spiffe://cluster.local/ns/other/sa/x'],
      [],
      [ALLOWED, 'spiffe://cluster.local/ns/prod/sa/y'],
    ]) {
      const other = await authority.issue(`other-${uris.length}`, 'client', { uris });
      const seen = await faultOf(async () => assert.notEqual(await call(other), 'hello'));
      assert.deepEqual(seen, ['client_not_allowed'], String(uris));
    }
  });

  test('no certificate, one of another authority and one that has ended are refused', async () => {
    const foreign = await createAuthority(folder, 'foreign authority');
    const strangers = [
      undefined,
      await foreign.issue('stranger', 'client', { uris: [ALLOWED] }),
      await authority.issue('ended', 'client', { uris: [ALLOWED], lifetimeMs: -60_000 }),
    ];
    for (const own of strangers) {
      const seen = await faultOf(async () => assert.notEqual(await call(own), 'hello'));
      assert.deepEqual(seen, ['tls_handshake']);
    }
  });

  test('a client of TLS 1.2 is refused, counted as such', async () => {
    const seen = await faultOf(async () =>
      assert.notEqual(await call(client, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' }), 'hello'),
    );
    assert.deepEqual(seen, ['tls_version']);
  });

  test('plain text is refused', async () => {
    const seen = await faultOf(
      () =>
        new Promise<void>((resolve) => {
          const socket = connectTcp(port, '127.0.0.1', () => socket.end('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
          socket.on('error', () => {});
          socket.on('close', () => resolve());
        }),
    );
    assert.deepEqual(seen, ['tls_handshake']);
  });

  /** Common name of what a new connection is shown. */
  function shown(): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket: TLSSocket = connect(options(client), () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }

  test('new files are taken over for new connections, wrong ones are not, and the last good pair serves on', async (t) => {
    assert.equal(await shown(), 'first');
    await use(await authority.issue('second', 'server'));
    t.diagnostic(
      `taken over after ${Math.round(await until('second', async () => (await shown()) === 'second'))} ms`,
    );

    const refused = () => recorded.named('certificateRefused');
    const before = refused().length;
    await writeFile(join(folder, 'tls.key'), 'not a key');
    const isTold = () => /tls\.key is not the private key of/.test(String(refused().at(-1)?.[1]));
    await until('the wrong key is told', () => refused().length > before && isTold());
    assert.equal(await shown(), 'second');
    assert.equal(await call(client), 'hello');

    await use(await authority.issue('ended-server', 'server', { lifetimeMs: -60_000 }));
    await until('the end is told', () => /has ended/.test(String(refused().at(-1)![1])));
    assert.equal(await shown(), 'second');

    await use(await authority.issue('third', 'server'));
    await until('third', async () => (await shown()) === 'third');
  });

  test('a file that is missing at the start ends it with an error that names the file', async () => {
    const other = createRawFront(new Map(), {
      observer: recorded.observer,
      name: 'check',
      tls: {
        certificate: join(folder, 'none.crt'),
        privateKey: client.key,
        clientCa: authority.ca,
        allowedUris: [],
      },
    });
    await assert.rejects(
      other.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }),
      /none\.crt cannot be read: ENOENT/,
    );
  });
});
