// Memory that a provider can take: each answer and all of them together are bounded, and free again afterwards.
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { createProviderHttp } from '../../../src/provider-http/http.ts';
import { startUpstream } from '../../support/loopback.ts';

test('answers that trickle in together take 8 MiB at most; the next one after them is read', async (t) => {
  const open: ServerResponse[] = [];
  const port = await startUpstream(t, (request, response) => {
    if (request.url === '/small') {
      response.end('{}');
      return;
    }
    // All but the last byte of what one answer may have.
    response.write(Buffer.alloc((1 << 20) - 1, 120));
    open.push(response);
  });
  const http = createProviderHttp({ caFile: undefined, env: {}, now: () => Date.now() });
  t.after(() => http.close());
  const fetch = (path: string) =>
    http.fetch(`http://127.0.0.1:${port}${path}`, { method: 'GET', headers: {} }).then(
      () => 'read',
      (error: Error) => error.message,
    );
  const answers = Array.from({ length: 12 }, () => fetch('/large'));
  const refused = await Promise.race(answers);
  assert.match(refused, /answers at one time are larger than 8388608 bytes/);
  assert.equal(await fetch('/small'), 'read', 'a small one has room beside them');
  for (const response of open) response.end();
  const told = await Promise.all(answers);
  const read = told.filter((text) => text === 'read').length;
  t.diagnostic(`${read} of 12 answers of 1 MiB were read at one time`);
  assert.ok(read >= 6 && read <= 8, `${read}`);
  assert.equal(await fetch('/small'), 'read');
});
