// An assertion that this process signs with a key of its own (RFC 7523 section 3), anew for each request.
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { SignedAssertionConfig } from '../../config/config.ts';
import { Secret } from '../../lib/secret.ts';
import type { SourceDeps } from '../registry.ts';
import { createSigningKeyReader } from '../signing-key.ts';
import type { AssertionProvider } from './assertion.ts';

/** `hasIssuer`: the provider was discovered, so that its issuer is known and not only its token endpoint. */
export function createSignedAssertion(
  config: SignedAssertionConfig,
  hasIssuer: boolean,
  { clock, env }: SourceDeps,
): AssertionProvider {
  const signingKey = createSigningKeyReader(config, env);
  return {
    async assertion(server) {
      const { key, alg, kid } = await signingKey.read();
      const now = Math.floor(clock.now() / 1_000);
      const jwt = await new SignJWT(config.claims)
        .setProtectedHeader({ alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) })
        .setIssuer(config.issuer)
        .setSubject(config.subject)
        .setAudience(config.audience ?? (hasIssuer ? server.issuer : server.token_endpoint!))
        .setIssuedAt(now)
        .setExpirationTime(now + config.lifetimeMs / 1_000)
        .setJti(randomUUID())
        .sign(key);
      return new Secret(jwt);
    },
    files: signingKey.files,
  };
}
