// The push door's filter: Envoy's own credential injector in the upstream chain of a policy's cluster, so that it runs
// once an attempt and a retry carries what was pushed meanwhile.
import type { Config } from '../../config/config.ts';
import { because } from '../../lib/commented-yaml.ts';
import type { InjectedHeader } from '../../policy/injection.ts';
import { shareSecretName } from '../../policy/rollout.ts';
import { type InjectionRules, isShared, onlyWhen, SHARE_MARK } from './matcher.ts';
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
export function pushFilters(
  config: Config,
  policy: PlannedPolicy,
  rules: Omit<InjectionRules, 'inShare'>,
): unknown[] {
  const inShare = isShared(policy.config);
  const injectors = policy.headers.map((header, i) =>
    onlyWhen(
      { ...rules, inShare },
      injector(config, policy, header),
      i === 0 ? undefined : `bearerd.inject.${header.name}`,
    ),
  );
  return [
    ...(inShare
      ? [
          withoutMark('bearerd.unmark'),
          shareMark(config, policy),
          ...injectors,
          withoutMark('bearerd.marked'),
        ]
      : injectors),
    because('Has to be the last one.', {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    }),
  ];
}

/** Sets the mark where bearerd says that this pod is in the share, and nothing where it says so not or nothing at all. */
function shareMark(config: Config, policy: PlannedPolicy): object {
  const mark = { name: SHARE_MARK, secretName: shareSecretName(policy.name) };
  return { ...injector(config, policy, mark, true), name: 'bearerd.share' };
}

function withoutMark(name: string): object {
  return {
    name,
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
      mutations: { request_mutations: [{ remove: SHARE_MARK }] },
    },
  };
}

function injector(
  config: Config,
  policy: PlannedPolicy,
  header: Pick<InjectedHeader, 'name' | 'secretName'>,
  mayBeMissing = false,
) {
  return {
    name: 'envoy.filters.http.credential_injector',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector',
      overwrite: because('The app’s own value is replaced, never doubled.', true),
      allow_request_without_credential: mayBeMissing,
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
