// private_key_jwt (OpenID Connect Core section 9, RFC 7523): an assertion signed anew for each request.
import * as oauth from 'oauth4webapi';
import type { PrivateKeyJwtConfig } from '../../../config/config.ts';
import { createSigningKeyReader, type SigningKey } from '../../signing-key.ts';
import type { ClientAuthentication } from './client-authentication.ts';

/** `hasIssuer`: the provider was discovered, so that its issuer is known and not only its token endpoint. */
export function createPrivateKeyJwt(
  config: PrivateKeyJwtConfig,
  hasIssuer: boolean,
  env: Readonly<Record<string, string | undefined>>,
): ClientAuthentication {
  const signingKey = createSigningKeyReader(config, env);
  return {
    async authenticate(server) {
      const offered = server.token_endpoint_auth_signing_alg_values_supported;
      const { key, alg, kid } = await signingKey.read(offered);
      const audience = config.audience ?? (hasIssuer ? server.issuer : server.token_endpoint!);
      return oauth.PrivateKeyJwt(
        { key: toCryptoKey(key, alg), ...(kid === undefined ? {} : { kid }) },
        {
          [oauth.modifyAssertion](header, payload) {
            // The library says Ed25519 (RFC 9864); most providers know only the older name (RFC 8037).
            if (alg !== 'EdDSA' || offered === undefined || offered.includes(alg)) header['alg'] = alg;
            payload['aud'] = audience;
          },
        },
      );
    },
    files: signingKey.files,
  };
}

const WEB_CRYPTO = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  EdDSA: { name: 'Ed25519' },
} as const;

function toCryptoKey(key: SigningKey['key'], alg: SigningKey['alg']) {
  return key.toCryptoKey(WEB_CRYPTO[alg], false, ['sign']);
}
