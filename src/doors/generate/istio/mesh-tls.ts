// Whether what goes to a host that gets a credential is encrypted, and to whom: refused where its cluster is known and says otherwise.
import type { Config } from '../../../config/config.ts';
import type { Plan } from '../plan.ts';
import { type ClusterOptions, type OwnOptions, optionsOf } from './cluster-dump.ts';
import { isPatched } from './cluster-patch.ts';
import { type IstioHost, istioHosts } from './istio-hosts.ts';
import type { OutsideTls } from './outside.ts';

export interface MeshTls {
  readonly clusterOptions: ClusterOptions;
  readonly tls: OutsideTls;
}

/** Hosts that get a credential which must not go out in plain text or to anybody else. */
function guardedHosts({ mode }: Config, plan: Plan): readonly IstioHost[] {
  if (mode === 'development') return [];
  return istioHosts(plan).filter(({ policies }) =>
    policies.some(({ config }) => config.deny === undefined && config.allowPlaintext !== true),
  );
}

/** Services of the mesh whose TLS is no matter of ours. Hosts outside, and those that are stated, get it from us. */
const isMeshs = ({ inCluster, name }: IstioHost, { tls }: MeshTls): boolean =>
  inCluster && tls[name] === undefined;

export function transportRefusals(config: Config, plan: Plan, mesh: MeshTls): readonly string[] {
  return guardedHosts(config, plan).flatMap((host) => {
    const known = optionsOf(mesh.clusterOptions, host);
    return [
      ...(isMeshs(host, mesh) ? known.flatMap((own) => plaintextRefusals(host, own)).slice(0, 1) : []),
      ...known.flatMap((own) => strangerRefusals(host, own)),
    ];
  });
}

function plaintextRefusals({ name }: IstioHost, { plain }: OwnOptions): readonly string[] {
  if (plain === undefined) return [];
  return [
    `host ${name}: its cluster in --from-cluster has no TLS${plain === 'some' ? ' to endpoints without a sidecar' : ''}, so a credential would go there in plain text; a DestinationRule with tls.mode ISTIO_MUTUAL, or allow_plaintext: true in the policy`,
  ];
}

/** Of the mesh's own mTLS Istio states the names, while it knows an endpoint. */
function strangerRefusals({ name }: IstioHost, own: OwnOptions): readonly string[] {
  if (own.strangers === undefined || own.strangers === 'mesh') return [];
  const [what, fix] =
    own.strangers === 'anybody'
      ? ['verifies nobody, so whoever answers there', 'caCertificates, and no insecureSkipVerify,']
      : [
          'checks no name of its certificate, so whoever has one of that authority',
          `subjectAltNames: [${own.sni ?? name}]`,
        ];
  return [
    `host ${name}: TLS of its cluster ${own.name} in --from-cluster ${what} would get the credential; ${fix} under tls of its DestinationRule`,
  ];
}

/** No host by its full name. */
export function unknownTlsRefusals(plan: Plan, tls: OutsideTls): readonly string[] {
  const names = new Set(istioHosts(plan).map(({ name }) => name));
  return Object.keys(tls)
    .filter((key) => !names.has(key))
    .map(
      (key) =>
        `--tls ${key} is no host of a policy; hosts are named in full, services as NAME.NAMESPACE.svc.cluster.local`,
    );
}

/** Nothing here says whether a service speaks mTLS or TLS of its own; who looks at it. */
export function meshTlsLines(config: Config, plan: Plan, mesh: MeshTls): string[] {
  const isUnseen = (host: IstioHost) =>
    isMeshs(host, mesh) && optionsOf(mesh.clusterOptions, host).length === 0;
  const guarded = guardedHosts(config, plan);
  const open = guarded.filter(isUnseen);
  const bare = guarded.filter(
    (host) => !isMeshs(host, mesh) && optionsOf(mesh.clusterOptions, host).some(({ plain }) => plain),
  );
  const patched = open.filter(isPatched);
  return [
    ...(open.length === 0
      ? []
      : [
          `NOT SEEN HERE: whether the mesh encrypts what goes to ${namesOf(open)}, and whose certificate it takes.`,
          '  --from-cluster looks at its clusters, bearerd doctor at a running sidecar, and the attempt door at each connection.',
        ]),
    ...(bare.length === 0
      ? []
      : [
          `NO TLS in --from-cluster: ${namesOf(bare)}. If it stays so once this is applied, Istio takes another DestinationRule.`,
        ]),
    ...(patched.length === 0
      ? []
      : [
          `NO NAME CHECKED: ${namesOf(patched)}, where a DestinationRule says TLS of its own`,
          '  (SIMPLE, MUTUAL) and no subjectAltNames, since Istio checks the name by options that a patch replaces. subjectAltNames in',
          '  that rule, --from-cluster or the host in --tls keep the check; for the mTLS of the mesh nothing changes.',
        ]),
  ];
}

function namesOf(hosts: readonly IstioHost[]): string {
  return [...new Set(hosts.map(({ name }) => name))].join(', ');
}
