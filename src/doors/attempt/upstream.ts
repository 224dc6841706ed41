// Where an attempt really goes: what Envoy says of the cluster it chose and of the connection, in the metadata of its call, and
// whether a credential may go there. The last wall of the leak guard, for configurations that the generator did not write.
import type { Policy, PolicyTable } from '../../policy/policy.ts';
import type { Asked } from '../decision/door.ts';

/**
 * Envoy fills them in for each call and leaves out what is empty (seen on 1.36.2, 1.37.0 and 1.40.0). Protocol and TLS are
 * known once the connection is there: an attempt that opens one is asked about before. The address would tell more and cost
 * more: as many heads of calls as there are endpoints.
 */
export const CLUSTER = { key: 'bearerd-upstream-cluster', value: '%UPSTREAM_CLUSTER_RAW%' } as const;
export const TRANSPORT = [
  { key: 'bearerd-upstream-protocol', value: '%UPSTREAM_PROTOCOL%' },
  { key: 'bearerd-upstream-tls', value: '%UPSTREAM_TLS_VERSION%' },
] as const;

export interface Upstream {
  /** Name of the cluster; empty = not told. */
  readonly cluster: string;
  /** undefined = not told, or not connected yet. */
  readonly transport: 'tls' | 'plain' | undefined;
}

/** Of a filter that tells nothing. */
export const UNTOLD: Upstream = { cluster: '', transport: undefined };

export function readUpstream(metadata: { get(name: string): string | undefined }): Upstream {
  const [protocol, tls] = TRANSPORT.map(({ key }) => metadata.get(key));
  return {
    cluster: metadata.get(CLUSTER.key) ?? '',
    transport: tls ? 'tls' : protocol ? 'plain' : undefined,
  };
}

export interface UpstreamGuard {
  /** Why the policy's credential may not go there with this request; undefined = it may. */
  refusal(
    policy: Policy,
    upstream: Upstream,
    request: Pick<Asked, 'host' | 'scheme'>,
  ): 'plaintext_upstream' | 'unbound_upstream' | undefined;
}

/** On a cluster, for requests with this host. */
interface Verdict {
  readonly host: string;
  readonly scheme: string;
  readonly isBound: boolean;
}

/** `plain`: clusters whose last known connection was plain: a new one, of which nothing is known yet, gets no credential either. */
export function createUpstreamGuard(
  { policies, coversHost }: Pick<PolicyTable, 'policies' | 'coversHost'>,
  plain: Set<string>,
): UpstreamGuard {
  /** By policy, then cluster: the last verdict. The names are of Envoy's configuration, no app makes new ones; hosts it may. */
  const verdicts = policies.map(() => new Map<string, Verdict>());

  return {
    refusal(policy, { cluster, transport }, { host, scheme }) {
      const known = verdicts[policy.index]!.get(cluster);
      let isBound = known?.isBound;
      if (known === undefined || known.host !== host || known.scheme !== scheme) {
        const name = istioHostOf(cluster);
        // The port is the app's: that of Istio's service may be another (80 for what leaves by TLS to 443).
        isBound = name === undefined || coversHost(policy, name + portOf(host), scheme);
        verdicts[policy.index]!.set(cluster, { host, scheme, isBound });
      }
      if (!isBound) return 'unbound_upstream';
      if (policy.plaintext) return undefined;
      if (transport === 'plain') plain.add(cluster);
      else if (transport === 'tls') plain.delete(cluster);
      return plain.has(cluster) ? 'plaintext_upstream' : undefined;
    },
  };
}

/** Of Istio, to wherever the app's own address says. */
const ANYWHERE = /^(Inbound)?PassthroughCluster/;

/** `outbound|PORT|SUBSET|HOST`; empty = no host that could be meant; undefined = a name of somebody's own choosing. */
function istioHostOf(cluster: string): string | undefined {
  if (ANYWHERE.test(cluster)) return '';
  return /^(?:outbound|inbound)\|[^|]*\|[^|]*\|(.*)$/.exec(cluster)?.[1];
}

function portOf(authority: string): string {
  return /:\d+$/.exec(authority)?.[0] ?? '';
}
