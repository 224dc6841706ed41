// docs/migration.md: from Envoy's own credential_injector to bearerd and back, by the mode of the policy alone.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { startGateway } from '../support/gateway.ts';

const SHARE = 'mode: { percent: 50, by: x-user-id }';
const TYPES = 'type.googleapis.com/envoy';

/** The filter as somebody has it: behind the authorization filter, before the router, a secret from a file. */
function injector(file: string): object {
  const credential = { name: 'old', sds_config: { path_config_source: { path: file } } };
  const generic = {
    '@type': `${TYPES}.extensions.http.injected_credentials.generic.v3.Generic`,
    credential,
  };
  return {
    name: 'envoy.filters.http.credential_injector',
    typed_config: {
      '@type': `${TYPES}.extensions.filters.http.credential_injector.v3.CredentialInjector`,
      credential: { name: 'envoy.http.injected_credentials.generic', typed_config: generic },
    },
  };
}

for (const version of ['1.40.0', '1.36.2'] as const) {
  test(`Envoy ${version}: beside the old injector, shadow leaves it alone, a share and enforce take its place, off gives it back`, async (t) => {
    const gateway = await startGateway(t, {
      sources: '  orders: { static: { value: { inline: new } } }',
      // So that Envoy sends the header that the share goes by.
      policy: SHARE,
      files: {
        'old.yaml': stringify({
          resources: [
            {
              '@type': `${TYPES}.extensions.transport_sockets.tls.v3.Secret`,
              name: 'old',
              generic_secret: { secret: { inline_string: 'Bearer old' } },
            },
          ],
        }),
      },
    });
    await gateway.ready();
    const { send } = await gateway.startEnvoy('check', {
      version,
      change: (bootstrap) => {
        const document = parse(bootstrap);
        const manager = document.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
        manager.http_filters.splice(-1, 0, injector(join(gateway.folder, 'old.yaml')));
        return stringify(document);
      },
    });
    const carried = async (user: number) => {
      const { body } = await send('/', { headers: { 'x-user-id': `user-${user}` } });
      return (JSON.parse(body) as { authorization?: string }).authorization;
    };
    const configFile = join(gateway.folder, 'bearerd.yaml');
    const text = readFileSync(configFile, 'utf8');
    const into = async (mode: string) => {
      const revision = async () => /bearerd_configuration_revision (\d+)/.exec(await gateway.metrics())![1];
      const before = await revision();
      writeFileSync(configFile, text.replace(SHARE, `mode: ${mode}`));
      while ((await revision()) === before) await sleep(20);
      const all = await Promise.all(Array.from({ length: 30 }, (_, user) => carried(user)));
      return [...new Set(all)].sort();
    };

    assert.deepEqual(await into('shadow'), ['Bearer old']);
    assert.match(await gateway.metrics(), /decision="pass",reason="shadow"\} 30\n/);
    assert.deepEqual(await into('{ percent: 40, by: x-user-id }'), ['Bearer new', 'Bearer old']);
    assert.deepEqual(await into('enforce'), ['Bearer new']);
    assert.deepEqual(await into('off'), ['Bearer old']);
  });
}
