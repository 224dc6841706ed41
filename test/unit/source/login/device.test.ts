import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceFlow } from '../../../../src/source/login/device.ts';
import type { Login, LoginConfig } from '../../../../src/source/login/login.ts';
import type { OAuthClient } from '../../../../src/source/oauth/client.ts';

const answer = {
  device_code: 'device',
  user_code: 'BCDF-GHJK',
  verification_uri: 'https://idp.example.com/device',
  expires_in: 600,
};

async function toldBy(patch: object): Promise<string> {
  let told = '';
  await deviceFlow({
    config: { scope: [], resource: [], extraParams: {}, authorizationParams: {} } as unknown as LoginConfig,
    client: {
      requestDeviceAuthorization: async () => ({ ...answer, ...patch }),
      requestToken: async () => ({}),
    } as unknown as OAuthClient,
    flow: 'device',
    redirectPort: 0,
    say: (text) => {
      told += text;
    },
    wait: async () => {},
    signal: new AbortController().signal,
  } satisfies Login);
  return told;
}

test('the person is told the address and the code', async () => {
  const told = await toldBy({ verification_uri_complete: 'https://idp.example.com/device?c=1' });
  for (const part of ['https://idp.example.com/device', 'BCDF-GHJK', '?c=1']) assert.ok(told.includes(part));
});

for (const [member, text] of [
  ['user_code', 'A\u001b[2J'],
  ['verification_uri', 'https://idp.example.com/\r\nhttps://evil.example.com'],
  ['verification_uri_complete', 'https://\u0456dp.example.com/'],
  ['verification_uri', ''],
] as const) {
  test(`${member} ${JSON.stringify(text)} never reaches the terminal`, async () => {
    await assert.rejects(toldBy({ [member]: text }), new RegExp(`^CredentialError: ${member} of the device`));
  });
}
