// JWTs signed by this process (RFC 7519), for services that trust its keys. Asks nobody.
import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { SourceConfig } from '../../config/config.ts';
import type { TokenSource } from '../../credential/credential.ts';
import { Secret } from '../../lib/secret.ts';
import { watchFiles } from '../../lib/watch.ts';
import type { SourceDeps } from '../registry.ts';
import { createSigningKeys } from './signing-keys.ts';

type Config = Extract<SourceConfig, { type: 'signed_jwt' }>;

/** From here on the store renews by itself anyway (lifetime.ts). */
const STORE_RENEWS_AT = 0.5;

export function createSignedJwtSource(config: Config, { clock }: SourceDeps): TokenSource {
  const { name, lifetimeMs, audience, scope } = config;
  const keys = createSigningKeys(config, clock);
  let changed: (() => void) | undefined;
  let stopFiles = (): void => {};
  let followed = '';

  function follow(): void {
    const files = keys.files();
    if (changed === undefined || files.join('\0') === followed) return;
    followed = files.join('\0');
    stopFiles();
    stopFiles = watchFiles(files, clock, changed);
  }

  return {
    name,
    type: 'signed_jwt',
    endpoint: `signed_jwt:${name}`,
    syntax: 'b64token',
    perSubject: false,
    async issue() {
      const signer = await keys.signer().finally(follow);
      // NumericDate is in seconds: rounded down, so that no clock sees the future.
      const now = Math.floor(clock.now() / 1_000);
      const end = now + Math.floor(lifetimeMs / 1_000);
      const jwt = await new SignJWT({
        ...config.claims,
        ...(scope.length === 0 ? {} : { scope: scope.join(' ') }),
      })
        .setProtectedHeader({ alg: signer.alg, kid: signer.kid, typ: config.typ })
        .setIssuer(config.issuer)
        .setSubject(config.subject)
        .setAudience(audience.length === 1 ? audience[0]! : [...audience])
        .setIssuedAt(now)
        .setExpirationTime(end)
        .setJti(randomUUID())
        .sign(signer.key);
      signer.signedUntil = Math.max(signer.signedUntil, end * 1_000);
      const issued = { value: new Secret(jwt), lifetimeMs: end * 1_000 - clock.now(), keyId: signer.kid };
      const next = keys.nextSignerAt() - clock.now();
      return next < lifetimeMs * STORE_RENEWS_AT
        ? { ...issued, refreshAfterMs: Math.max(1_000, next) }
        : issued;
    },
    publicKeys: () => keys.published(),
    watch(listener) {
      changed = listener;
      follow();
      return () => {
        changed = undefined;
        stopFiles();
      };
    },
  };
}
