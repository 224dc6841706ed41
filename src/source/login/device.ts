// Device authorization (RFC 8628): the person's browser is on another machine.
import { CredentialError } from '../../lib/errors.ts';
import { oauthErrorOf } from '../errors.ts';
import { buildTokenParameters } from '../oauth/token-parameters.ts';
import type { TokenReply } from '../oauth/token-reply.ts';
import type { Login } from './login.ts';

const CALL_MS = 15_000;
/** Section 3.2: where the provider tells none. */
const INTERVAL_SECONDS = 5;
/** Section 3.5: slow_down adds so much, for good. */
const SLOWER_SECONDS = 5;

export async function deviceFlow(login: Login): Promise<TokenReply> {
  const { config, client, say, wait, signal } = login;
  const call = () => AbortSignal.any([signal, AbortSignal.timeout(CALL_MS)]);
  const device = await client.requestDeviceAuthorization(
    buildTokenParameters({ ...config, extraParams: config.authorizationParams }),
    config.deviceAuthorizationEndpoint,
    call(),
  );
  const code = shown('user_code', device.user_code);
  const address = shown('verification_uri', device.verification_uri);
  say(`Open this address in any browser and enter the code ${code}:\n\n  ${address}\n\n`);
  if (device.verification_uri_complete !== undefined) {
    const complete = shown('verification_uri_complete', device.verification_uri_complete);
    say(`or, with the code in it:\n\n  ${complete}\n\n`);
  }
  let intervalSeconds = device.interval ?? INTERVAL_SECONDS;
  for (let leftSeconds = device.expires_in; leftSeconds > 0; leftSeconds -= intervalSeconds) {
    await wait(intervalSeconds * 1_000, signal);
    try {
      return await client.requestToken(
        {
          grantType: 'urn:ietf:params:oauth:grant-type:device_code',
          parameters: new URLSearchParams({ device_code: device.device_code }),
        },
        call(),
      );
    } catch (error) {
      const code = oauthErrorOf(error);
      if (code === 'slow_down') intervalSeconds += SLOWER_SECONDS;
      // Section 3.5: a call that got no answer is tried again, more slowly.
      else if (code === undefined && error instanceof CredentialError && error.retryable)
        intervalSeconds *= 2;
      else if (code !== 'authorization_pending') throw error;
    }
  }
  throw new CredentialError('source_timeout', 'nobody entered the code in time', { retryable: false });
}

/** A provider's text on a terminal: control characters could move its cursor, Unicode could pass for another address. */
function shown(member: string, text: string): string {
  if (/^[\x20-\x7e]{1,2048}$/.test(text)) return text;
  throw new CredentialError(
    'source_invalid_response',
    `${member} of the device authorization has characters that are not shown on a terminal`,
    { retryable: false },
  );
}
