// 100,000 users through a bound of about 10,000: memory stays flat and nobody ever gets another's token. The provider is a
// real HTTP server that names the subject in each token; Checks come as bytes and go as bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { encodeCheckRequest } from '../../bench/world.ts';
import { startExchangeCheck } from '../support/exchange-check.ts';
import { startUpstream } from '../support/loopback.ts';

const USERS = 100_000;
const AT_ONCE = 100;
// One costs 1,536 bytes and its two tokens.
const BYTES = 10_000 * (1_536 + 400 + 404);

test('100,000 users through a bound of 10,000: memory flat, each request with its own token', async (t) => {
  let calls = 0;
  const port = await startUpstream(t, (request, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      calls++;
      response.writeHead(200, { 'content-type': 'application/json' });
      const access_token = `for-${new URLSearchParams(body).get('subject_token')}`;
      response.end(JSON.stringify({ access_token, token_type: 'Bearer', expires_in: 3_600 }));
    });
  });
  const { store, check } = await startExchangeCheck(`http://127.0.0.1:${port}/token`, BYTES);
  t.after(() => store.stop());
  const call = { timeoutMs: undefined, signal: new AbortController().signal };

  async function ask(user: number): Promise<void> {
    const subject = `user-${user}-`.padEnd(400, 'x');
    const headers = { authorization: `Bearer ${subject}` };
    const answer = await check(encodeCheckRequest('api', 'api.example.com', '/v1', user, headers), call);
    const given = /Bearer for-user-(\d+)-/.exec(Buffer.from(answer).toString('latin1'))?.[1];
    assert.equal(given, String(user), 'the token of another user, or none');
  }

  const heap: number[] = [];
  for (let first = 0; first < USERS; first += AT_ONCE) {
    const users = Array.from({ length: AT_ONCE }, (_, i) => first + i);
    // Known ones in between: of the last 10,000, and of those who fell out long ago.
    const again = [first - 5_000, first - 50_000].filter((user) => user >= 0);
    await Promise.all([...users, ...again].map(ask));
    if (first % 20_000 === 0) heap.push(heapUsed());
  }
  heap.push(heapUsed());
  const held = store.status()[0]!.subjects!;
  t.diagnostic(`${calls} token calls, ${held} held, heap MB ${heap.map((b) => (b / 2 ** 20).toFixed(0))}`);
  assert.ok(held > 9_000 && held <= 10_200, `${held} held`);
  // From the first time that the bound was full, at 20,000 users, to the end.
  const growth = heap.at(-1)! - heap[1]!;
  assert.ok(growth < 8 << 20, `the heap grew by ${growth} bytes`);
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}
