// What keeps credentials from hosts that they are not for: ours from upstreams without TLS, and the app's own from hosts
// without a policy.
import type { Config } from '../../config/config.ts';
import { isLoopback } from '../../lib/address.ts';
import { because } from '../../lib/commented-yaml.ts';
import { unlessHost } from './matcher.ts';
import type { Plan } from './plan.ts';
import { assumedTls, assumedUpstream, statedUpstream, type Upstreams } from './upstreams.ts';

/** Endpoints that a credential would reach in plain text without anybody having said so. */
export function plaintextRefusals({ mode }: Config, { hosts }: Plan, upstreams: Upstreams): string[] {
  if (mode === 'development') return [];
  return hosts.flatMap(({ endpoints, rules }) =>
    endpoints.flatMap((endpoint) => {
      const stated = statedUpstream(upstreams, endpoint);
      const tls = stated === undefined ? assumedTls(endpoint) : stated.tls;
      const { address } = stated ?? assumedUpstream(endpoint);
      if (tls !== undefined || isLoopback(address)) return [];
      const policies = rules.filter((rule) => rule.endpoint === endpoint).map(({ policy }) => policy);
      const open = policies.filter(({ config }) => config.deny === undefined && !config.allowPlaintext);
      if (open.length === 0) return [];
      const port = endpoint.port === undefined ? '' : `:${endpoint.port}`;
      const names = [...new Set(open.map(({ name }) => name))].join(', ');
      return [
        `host ${endpoint.host}${port}: the credential of ${names} would go there in plain text; state tls for it with --upstreams (for pieces too, as your own cluster has it), or allow_plaintext: true in the policy where something else encrypts (a mesh)`,
      ];
    }),
  );
}

/** HTTP filters before the router: none where the app's own credential goes wherever the app sends it. */
export function unboundFilters({ unboundAuthorization }: Config, { hosts }: Plan): object[] {
  if (unboundAuthorization === 'pass') return [];
  const endpoints = hosts.flatMap(({ endpoints, rules }) =>
    endpoints.filter((endpoint) =>
      rules.some((rule) => rule.endpoint === endpoint && rule.policy.config.deny === undefined),
    ),
  );
  const filter = unboundAuthorization === 'deny' ? DENY : REMOVE;
  return [
    because(
      'unbound_authorization: a credential of the app for a host that no policy names.',
      endpoints.length === 0 ? filter : unlessHost(endpoints, filter, 'bearerd.unbound_authorization'),
    ),
  ];
}

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http';

const REMOVE = {
  name: 'envoy.filters.http.header_mutation',
  typed_config: {
    '@type': `${FILTERS}.header_mutation.v3.HeaderMutation`,
    mutations: { request_mutations: [{ remove: 'authorization' }] },
  },
};

/** 403. */
const DENY = {
  name: 'envoy.filters.http.rbac',
  typed_config: {
    '@type': `${FILTERS}.rbac.v3.RBAC`,
    rules: {
      action: 'DENY',
      policies: {
        unbound: {
          permissions: [{ header: { name: 'authorization', present_match: true } }],
          principals: [{ any: true }],
        },
      },
    },
  },
};
