// `npm run parts`: fetches beforehand what tests and the demo would otherwise fetch on first use. `--all` = every version.
import { ALL_ENVOYS, envoyBinary, TESTED_ENVOYS } from './envoy.ts';
import { KEYCLOAK_VERSION, keycloakFolder, keycloakMissing } from './keycloak.ts';
import { valkeyBinary } from './valkey.ts';

for (const version of process.argv.includes('--all') ? ALL_ENVOYS : TESTED_ENVOYS) {
  process.stdout.write(`envoy ${version}: ${await envoyBinary(version)}\n`);
}
const missing = await keycloakMissing();
process.stdout.write(`keycloak ${KEYCLOAK_VERSION}: ${missing ?? (await keycloakFolder())}\n`);
process.stdout.write(`valkey: ${await valkeyBinary()}\n`);
