// Whether the mesh encrypts what goes to a service that gets a credential: refused where its cluster is known and does not.
import type { Config } from '../../../config/config.ts';
import type { Plan } from '../plan.ts';
import { type ClusterOptions, optionsOf } from './cluster-dump.ts';
import { type IstioHost, istioHosts } from './istio-hosts.ts';

/** Services of the mesh that get a credential which must not go out in plain text. Hosts outside get TLS from us. */
function guardedServices({ mode }: Config, plan: Plan): readonly IstioHost[] {
  if (mode === 'development') return [];
  return istioHosts(plan).filter(
    ({ inCluster, policies }) =>
      inCluster && policies.some(({ config }) => config.deny === undefined && config.allowPlaintext !== true),
  );
}

export function plaintextRefusals(
  config: Config,
  plan: Plan,
  clusterOptions: ClusterOptions,
): readonly string[] {
  return guardedServices(config, plan)
    .filter(({ name, port }) => optionsOf(clusterOptions, name, port)?.plain)
    .map(
      ({ name }) =>
        `host ${name}: its cluster in --from-cluster has no TLS, so a credential would go there in plain text; a DestinationRule with tls.mode ISTIO_MUTUAL, or allow_plaintext: true in the policy`,
    );
}

/** Nothing here says whether a service speaks mTLS; who looks at it. */
export function meshTlsLines(config: Config, plan: Plan, clusterOptions: ClusterOptions): string[] {
  const open = guardedServices(config, plan).filter(
    ({ name, port }) => optionsOf(clusterOptions, name, port) === undefined,
  );
  if (open.length === 0) return [];
  return [
    `NOT SEEN HERE: whether the mesh encrypts what goes to ${[...new Set(open.map(({ name }) => name))].join(', ')}.`,
    '  --from-cluster looks at its clusters, bearerd doctor at a running sidecar, and the attempt door at each connection.',
  ];
}
