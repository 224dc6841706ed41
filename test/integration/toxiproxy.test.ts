// The network that other tests let fail: each fault does what its name says, and is gone when it was taken back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasGo } from '../../tools/parts/go.ts';
import { startUpstream } from '../support/loopback.ts';
import { startToxiproxy } from '../support/toxiproxy.ts';

test('toxiproxy: down, slow, silent and cut connections, and none of it after a reset', async (t) => {
  if (!(await hasGo())) return t.skip('toxiproxy is built with Go, which is not installed');
  const port = await startUpstream(t, (_, response) => response.end('x'.repeat(1_000)));
  const toxiproxy = await startToxiproxy();
  t.after(() => toxiproxy.stop());
  const way = await toxiproxy.proxy('api', port);
  const get = async () => {
    const answer = await fetch(`http://127.0.0.1:${way.port}/`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(3_000),
    });
    return (await answer.text()).length;
  };
  assert.equal(await get(), 1_000);

  await way.down();
  await assert.rejects(get(), { message: 'fetch failed' });
  await way.up();
  assert.equal(await get(), 1_000);

  const fast = await way.add({ type: 'latency', latency: 300 });
  const begun = performance.now();
  await get();
  assert.ok(performance.now() - begun >= 290);
  await fast();

  await way.add({ type: 'timeout', timeout: 0 }, 'upstream');
  await assert.rejects(get(), { name: 'TimeoutError' });
  await way.reset();

  await way.add({ type: 'limit_data', bytes: 500 });
  await assert.rejects(get());
  await way.reset();
  assert.equal(await get(), 1_000);
});
