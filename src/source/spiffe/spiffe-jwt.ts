// JWT-SVIDs of the SPIFFE Workload API, renewed at half life. The stream of bundles stays open: it tells at once when the
// key behind the current SVID is trusted no more, and when an API that was away is back.
import type { SourceConfig } from '../../config/config.ts';
import type { TokenSource } from '../../credential/credential.ts';
import { CredentialError } from '../../lib/errors.ts';
import { createWorkloadApi } from '../../workload-api/client.ts';
import type { SourceDeps } from '../registry.ts';
import { chooseJwtSvid, isTrusted, type JwtSvid, renewalDelayMs } from './jwt-svid.ts';

type Config = Extract<SourceConfig, { type: 'spiffe_jwt' }>;

export function createSpiffeJwtSource(config: Config, { clock }: SourceDeps): TokenSource {
  const { name, socket, audience, spiffeId } = config;
  const api = createWorkloadApi(socket, clock);
  let current: JwtSvid | undefined;
  let failed = false;

  async function fetch(signal: AbortSignal): Promise<JwtSvid> {
    failed = true;
    const svid = chooseJwtSvid(
      await api.fetchJwtSvids(audience, spiffeId, signal),
      audience,
      spiffeId,
      clock.now(),
    );
    failed = false;
    return svid;
  }

  return {
    name,
    type: 'spiffe_jwt',
    endpoint: `unix://${socket}`,
    syntax: 'b64token',
    perSubject: false,
    async issue({ signal, refused }) {
      const svid = await fetch(signal);
      if (refused !== undefined && svid.value.reveal() === refused.reveal()) {
        throw new CredentialError('source_rejected', 'the Workload API gave the refused JWT-SVID once more', {
          retryable: true,
        });
      }
      current = svid;
      const now = clock.now();
      return {
        value: svid.value,
        lifetimeMs: svid.expiresAt - now,
        refreshAfterMs: renewalDelayMs(svid, now),
        ...(svid.kid === undefined ? {} : { keyId: svid.kid }),
      };
    },
    watch: (changed) =>
      api.followJwtBundles((bundles) => {
        if (failed || (current !== undefined && !isTrusted(current, bundles))) changed();
      }),
    close: async () => api.close(),
  };
}
