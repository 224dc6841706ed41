// The whole path of a user's request in this process, from the bytes of a Check to those of its answer: token exchange with
// a provider on loopback behind a real store.
import { parseConfig } from '../../src/config/parse.ts';
import { createCredentialStore } from '../../src/credential/store.ts';
import { createCheck } from '../../src/doors/check/check.ts';
import { createCarriedRing } from '../../src/doors/feedback/carried-ring.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { compilePolicies } from '../../src/policy/compile.ts';
import { createTokenSource } from '../../src/source/registry.ts';
import { nullObserver } from '../../src/telemetry/observer.ts';

/** Of the policy `api` for api.example.com. `credentialBytes`: bound of the store. */
export async function startExchangeCheck(tokenEndpoint: string, credentialBytes: number) {
  const config = parseConfig(
    JSON.stringify({
      version: 1,
      mode: 'development',
      listen: { check: 'unix:///unused.sock' },
      sources: {
        api: {
          token_exchange: {
            token_endpoint: tokenEndpoint,
            client_id: 'test',
            client_secret: { inline: 'test-secret' },
          },
        },
      },
      outbound: [{ name: 'api', match: { hosts: ['api.example.com'] }, inject: { source: 'api' } }],
      limits: { first_fetches_per_second: 100_000, credential_bytes: credentialBytes },
    }),
    '/bearerd.yaml',
  );
  const deps = { clock: systemClock, env: {}, observer: nullObserver };
  const source = await createTokenSource(config.sources[0]!, deps);
  const store = createCredentialStore({
    ...deps,
    ...config.limits,
    sources: [{ source, required: false, maxLifetimeMs: undefined }],
    random: Math.random,
  });
  store.start();
  const check = createCheck({
    ...deps,
    store,
    policies: compilePolicies(config),
    maxWaitMs: 30_000,
    carried: createCarriedRing(),
  });
  return { store, check };
}
