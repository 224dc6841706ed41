// How a credential may stand on a request, as an upstream behind a real Envoy sees it.
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { GenerateError } from '../../src/doors/generate/problems.ts';
import { startGateway } from '../support/gateway.ts';

interface Seen {
  readonly url: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

const KEY = 'k3y/with+marks=';

async function start(t: TestContext, inject: string, key = KEY) {
  return startGateway(t, {
    sources: `  orders: { required: true, static: { value: { file: FOLDER/key } } }`,
    files: { key },
    inject,
    upstream: ({ url, headers }, response) => response.end(JSON.stringify({ url, headers })),
  });
}

// The app's own values are there in every request, and must be gone.
const own = { authorization: 'Bearer own', 'x-api-key': 'own', 'x-other': 'own' };

const forms: readonly (readonly [name: string, inject: string, key: string, expected: object])[] = [
  [
    'any header and prefix',
    ', header: X-Api-Key, prefix: "Key "',
    KEY,
    { 'x-api-key': `Key ${KEY}`, authorization: 'Bearer own' },
  ],
  [
    'several headers',
    ', headers: [{ name: authorization }, { name: x-api-key }, { name: x-other, prefix: "v1," }]',
    KEY,
    { authorization: `Bearer ${KEY}`, 'x-api-key': KEY, 'x-other': `v1,${KEY}` },
  ],
  [
    'Basic with a username',
    ', basic: { username: svc }',
    KEY,
    { authorization: `Basic ${btoa(`svc:${KEY}`)}`, 'x-api-key': 'own' },
  ],
  [
    'Basic with a credential that is both',
    ', basic: {}, header: x-other',
    'user:pass word',
    { 'x-other': `Basic ${btoa('user:pass word')}`, authorization: 'Bearer own' },
  ],
];

for (const door of ['check', 'push', 'attempt'] as const) {
  for (const [name, inject, key, expected] of forms) {
    test(`${door}: ${name}, each in place of the app's own value`, async (t) => {
      const gateway = await start(t, inject, key);
      await gateway.ready();
      const { send } = await gateway.startEnvoy(door);
      const { status, body } = await send('/v1/x?a=b', { headers: own });
      assert.equal(status, 200, body);
      const { url, headers } = JSON.parse(body) as Seen;
      assert.equal(url, '/v1/x?a=b');
      for (const [header, value] of Object.entries(expected)) assert.equal(headers[header], value, header);
    });
  }
}

test('check: a query parameter, encoded, in place of the app’s own one', async (t) => {
  const gateway = await start(t, ', query: api_key');
  await gateway.ready();
  const { send } = await gateway.startEnvoy('check');
  const { body } = await send('/v1/x?api_key=own&a=b&api_key=again', { headers: own });
  const { url, headers } = JSON.parse(body) as Seen;
  const query = new URL(url, 'http://x').searchParams;
  assert.deepEqual(query.getAll('api_key'), [KEY]);
  assert.equal(query.get('a'), 'b');
  assert.equal(headers['authorization'], 'Bearer own');
  assert.ok(url.includes(encodeURIComponent(KEY)), url);
});

for (const door of ['push', 'attempt'] as const) {
  test(`${door}: a query parameter is refused by name`, async (t) => {
    const gateway = await start(t, ', query: api_key');
    await assert.rejects(
      async () => gateway.startEnvoy(door),
      (error) => error instanceof GenerateError && /inject\.query/.test(error.problems.join()),
    );
  });
}
