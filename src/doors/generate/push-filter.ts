// The push door's filter: Envoy's own credential injector in the upstream chain of a policy's cluster, so that it runs
// once an attempt and a retry carries what was pushed meanwhile.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import type { InjectedHeader } from '../../policy/injection.ts';
import { type InjectionRules, onlyWhen } from './matcher.ts';
import type { PlannedPolicy } from './plan.ts';

/** Name of the cluster of the n-th entry of listen.xds. */
export function xdsCluster(index: number): string {
  return index === 0 ? 'bearerd_xds' : `bearerd_xds_${index + 1}`;
}

/** The first entry of listen.xds that serves the source, which the plan has made sure of. */
function xdsClusterOf(config: Config, source: string): string {
  return xdsCluster(
    config.listen.xds.findIndex((x) => x.sources === undefined || x.sources.includes(source)),
  );
}

/** Complete `http_filters` of the cluster's HttpProtocolOptions: an injector sets one header. */
export function pushFilters(config: Config, policy: PlannedPolicy, rules: InjectionRules): unknown[] {
  return [
    ...policy.headers.map((header, i) =>
      onlyWhen(
        rules,
        injector(config, policy, header),
        i === 0 ? undefined : `bearerd.inject.${header.name}`,
      ),
    ),
    because('Has to be the last one.', {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    }),
  ];
}

function injector(config: Config, policy: PlannedPolicy, header: InjectedHeader) {
  return {
    name: 'envoy.filters.http.credential_injector',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
      overwrite: because('The app’s own value is replaced, never doubled.', true),
      allow_request_without_credential: false,
      credential: {
        name: 'envoy.http.injected_credentials.generic',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.http.injected_credentials.generic.v3.Generic',
          credential: {
            name: header.secretName,
            sds_config: {
              resource_api_version: 'V3',
              initial_fetch_timeout: because(
                'All listeners wait for the first answer, 15 s by default when bearerd is away at the start.',
                '1s',
              ),
              api_config_source: {
                api_type: 'GRPC',
                transport_api_version: 'V3',
                grpc_services: [{ envoy_grpc: { cluster_name: xdsClusterOf(config, policy.source) } }],
              },
            },
          },
          header: because('The prefix is part of the secret: Envoy 1.36 cannot add one.', header.name),
        },
      },
    },
  };
}
