// The fleet's identity provider, a process of its own that can be killed: node provider.ts PORT LIFETIME_SECONDS.
// Prints `call AUDIENCE EPOCH_MS` for each token request.
import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';
import { FLEET_CLIENT, FLEET_SECRET } from './configuration.ts';

const [port, lifetime] = process.argv.slice(2).map(Number) as [number, number];
const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: FLEET_CLIENT,
      client_secret: FLEET_SECRET,
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: 'client_secret_basic',
      id_token_signed_response_alg: 'ES256',
    },
  ],
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'fleet', use: 'sig', alg: 'ES256' }] } as never,
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => ({
        scope: '',
        audience: resource,
        accessTokenTTL: lifetime,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
const told = ({ oidc }: { oidc: { params?: Record<string, unknown> | undefined } }) =>
  process.stdout.write(`call ${oidc.params?.['resource'] ?? 'none'} ${Date.now()}\n`);
provider.on('grant.success', told as never);
provider.on('grant.error', told as never);
provider.listen(port, '127.0.0.1', () => process.stdout.write('ready\n'));
