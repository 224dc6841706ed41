// A JWT-SVID as proof of an OAuth client (RFC 7523, SPIFFE client authentication): the workload's identity is its secret.
import type { SpiffeAssertionConfig } from '../../config/config.ts';
import type { Clock } from '../../lib/clock.ts';
import type { AssertionProvider } from '../oauth/assertion.ts';
import { chooseJwtSvid } from './jwt-svid.ts';

/** `hasIssuer`: the provider was discovered, so that its issuer is known and not only its token endpoint. */
export function createSpiffeAssertion(
  { socket, spiffeId, audience }: SpiffeAssertionConfig,
  hasIssuer: boolean,
  clock: Clock,
): AssertionProvider {
  return {
    async assertion(server, signal) {
      const wanted = [audience ?? (hasIssuer ? server.issuer : server.token_endpoint!)];
      // grpc-js is 17 MB of resident memory (measured) that other proofs need not pay.
      const { createWorkloadApi } = await import('../../workload-api/client.ts');
      // A token call is rare, and the API keeps SVIDs itself: no connection is held for it.
      const api = createWorkloadApi(socket, clock);
      try {
        return chooseJwtSvid(await api.fetchJwtSvids(wanted, spiffeId, signal), wanted, spiffeId, clock.now())
          .value;
      } finally {
        api.close();
      }
    },
    files: [],
  };
}
