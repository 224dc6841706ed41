// The example of token_exchange in docs/sources.md, asked as Envoy asks: over its socket, with a user's token.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { encodeCheckRequest } from '../../../bench/world.ts';
import { writeDocExample } from '../../support/doc-example.ts';
import { startExchangeProvider } from '../../support/exchange-provider.ts';
import { startProcess } from '../../support/process.ts';

test('each policy gets the user’s token for its own audience, and the user’s own token goes no further', async (t) => {
  const provider = await startExchangeProvider({ clientId: 'gateway', clientSecret: 'the-secret' });
  t.after(() => provider.stop());
  const { folder, configFile } = await writeDocExample(t, 'docs/sources.md', 'token_exchange', {
    'version: 1': 'version: 1\nmode: development',
    'https://idp.example.com': provider.issuer,
  });
  writeFileSync(join(folder, 'gateway'), 'the-secret');
  const bearerd = await startProcess(process.execPath, ['bin/bearerd.js', 'serve', '--config', configFile], {
    name: 'bearerd',
  });
  t.after(() => bearerd.stop());
  await bearerd.waitForOutput(/"listener":"check","state":"listening"/);
  const client = new grpc.Client(`unix://${folder}/check.sock`, grpc.credentials.createInsecure());
  t.after(() => client.close());
  const check = (message: Uint8Array) =>
    new Promise<Buffer>((resolve, reject) =>
      client.makeUnaryRequest(
        '/envoy.service.auth.v3.Authorization/Check',
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => bytes,
        message,
        { deadline: Date.now() + 10_000 },
        (error, answer) => (error ? reject(error) : resolve(answer!)),
      ),
    );
  const user = await provider.userToken('ann');
  for (const [policy, scope] of [
    ['orders', undefined],
    ['billing', 'invoices.read'],
  ] as const) {
    const headers = { 'x-user-token': user };
    const answer = (
      await check(encodeCheckRequest(policy, `${policy}.prod.svc`, '/v1', 1, headers))
    ).toString('latin1');
    const token = /Bearer ([\w.-]+)/.exec(answer)?.[1];
    const claims = await provider.verify(token!);
    assert.deepEqual([claims['sub'], claims['aud']], ['ann', `urn:${policy}`]);
    assert.equal(provider.lastForm['scope'], scope);
    // headers_to_remove
    assert.ok(answer.includes('x-user-token'));
    assert.ok(!answer.includes(user));
  }
  assert.equal(provider.calls, 2);
});
