import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { request } from 'node:http';
import { test } from 'node:test';
import { createAdminServer } from '../../src/server/admin.ts';
import { createHealthServer } from '../../src/server/http.ts';
import { createRecordingObserver } from '../support/recording-observer.ts';
import { createSocketFolder } from '../support/sockets.ts';

test('liveness, readiness with what is missing, and metrics are served, and nothing else', async () => {
  const recorded = createRecordingObserver();
  let missing: string[] = ['orders', 'billing'];
  let starting: string[] = ['listeners'];
  let broken = false;
  let jwks: object | undefined;
  const server = createHealthServer(
    { kind: 'tcp', host: '127.0.0.1', port: 0 },
    {
      missing: () => missing,
      starting: () => starting,
      jwks: () => jwks,
      metrics: async () => {
        if (broken) throw new Error('token in the text');
        return 'up 1\n';
      },
      observer: recorded.observer,
    },
  );
  const address = await server.start();
  const get = async (path: string, method = 'GET') => {
    const response = await fetch(`http://${address}${path}`, { method });
    return [response.status, await response.text()];
  };
  try {
    assert.deepEqual(await get('/livez'), [200, 'ok\n']);
    assert.deepEqual(await get('/startupz'), [503, 'not started, missing: listeners\n']);
    starting = [];
    assert.deepEqual(await get('/startupz'), [200, 'ok\n']);
    assert.deepEqual(await get('/readyz'), [503, 'not ready, missing: orders, billing\n']);
    missing = [];
    assert.deepEqual(await get('/readyz?verbose'), [200, 'ok\n']);
    assert.deepEqual(await get('/metrics'), [200, 'up 1\n']);
    assert.deepEqual(await get('/metrics', 'HEAD'), [200, '']);
    assert.equal((await get('/livez', 'POST'))[0], 405);
    assert.equal((await get('/status'))[0], 404);
    assert.equal((await get('/.well-known/jwks.json'))[0], 404, 'nothing is signed');
    jwks = { keys: [] };
    assert.deepEqual(await get('/.well-known/jwks.json'), [200, '{"keys":[]}\n']);
    broken = true;
    assert.deepEqual(await get('/metrics'), [500, 'internal error\n']);
    assert.equal(recorded.named('unexpected').length, 1);
  } finally {
    await server.stop();
  }
  assert.deepEqual(
    recorded.named('listenerChanged').map((event) => event[1]),
    ['listening', 'closed'],
  );
});

test('the admin page is JSON on a socket with the configured mode', async () => {
  const sockets = createSocketFolder();
  const address = sockets.address('admin.sock', 0o600);
  const server = createAdminServer(address, {
    status: () => ({ sources: [{ source: 'orders' }] }),
    observer: createRecordingObserver().observer,
  });
  assert.equal(await server.start(), `unix://${address.path}`);
  assert.equal(statSync(address.path).mode & 0o777, 0o600);
  const body = await new Promise<string>((resolve, reject) => {
    request({ socketPath: address.path, path: '/status' }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
  assert.deepEqual(JSON.parse(body), { sources: [{ source: 'orders' }] });
  await server.stop();
  sockets.remove();
});
