// An assertion in a file that somebody else renews, e.g. the kubelet a projected service account token.
import type { Clock } from '../../lib/clock.ts';
import { secretUnreadable } from '../../lib/errors.ts';
import { Secret } from '../../lib/secret.ts';
import { readSecretFile } from '../../lib/secret-ref.ts';
import { expiryOf } from '../jwt-expiry.ts';
import type { AssertionProvider } from './assertion.ts';

export function createAssertionFile(path: string, clock: Clock): AssertionProvider {
  const refuse = (what: string): never => {
    throw secretUnreadable(`${path}: ${what}`);
  };
  return {
    async assertion() {
      const jwt = (await readSecretFile(path)).trim();
      if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(jwt)) refuse('expected a signed JWT and nothing else');
      const expiresAt = expiryOf(jwt);
      if (expiresAt !== undefined && expiresAt <= clock.now()) {
        refuse('the assertion in it has expired; whoever renews this file is behind');
      }
      return new Secret(jwt);
    },
    files: [path],
  };
}
