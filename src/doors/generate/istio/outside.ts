// Hosts with TLS of their own, outside the mesh or, where it is stated, in it: the app speaks plain HTTP and the sidecar makes TLS of it, or
// Envoy could not look into the request.
import { because } from '../../../lib/commented-yaml.ts';
import type { UpstreamTls } from '../upstreams.ts';
import type { IstioHost } from './istio-hosts.ts';

/** By host; files as istio-proxy sees them. A host outside that is missing here is reached with the authorities of the system. */
export type OutsideTls = Readonly<Record<string, UpstreamTls>>;

export interface Outside {
  readonly namespace: string;
  readonly tls: OutsideTls;
  /** Whether other namespaces see these hosts, as those do that send to a gateway. */
  readonly exported: boolean;
}

/**
 * One DestinationRule a host, and where Istio does not know it a ServiceEntry. Of several rules of a namespace Istio takes one: of those with the
 * same exportTo the oldest, else the youngest.
 */
export function outsideDocuments(hosts: readonly IstioHost[], outside: Outside): readonly object[] {
  return [...Map.groupBy(hosts, ({ name }) => name)].flatMap(([name, same]) => {
    const ports = same.map(({ port }) => port);
    if (!same[0]!.inCluster)
      return [serviceEntry(name, ports, outside), destinationRule(name, [undefined], outside)];
    // Its other namespaces have rules of their own for it.
    return outside.tls[name] === undefined
      ? []
      : [destinationRule(name, ports, { ...outside, exported: false })];
  });
}

/** What this namespace makes of a host is no matter of the others: by default Istio shows it to all. */
const exportTo = ({ exported }: Outside) =>
  exported ? undefined : because('No other namespace reaches the host another way because of this.', ['.']);

function serviceEntry(name: string, ports: readonly (number | undefined)[], outside: Outside): object {
  const asHttp = ports.some(isWellKnown);
  const others = ports.filter((port) => !isWellKnown(port));
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: objectName(name), namespace: outside.namespace },
    spec: {
      hosts: [name],
      exportTo: exportTo(outside),
      location: 'MESH_EXTERNAL',
      resolution: 'DNS',
      ports: [
        ...(asHttp
          ? [
              because('The app says http://, the sidecar speaks TLS to 443.', {
                number: 80,
                name: 'http',
                protocol: 'HTTP',
                targetPort: 443,
              }),
            ]
          : []),
        ...others.map((number) => ({ number, name: `http-${number}`, protocol: 'HTTP' })),
      ],
    },
  };
}

function isWellKnown(port: number | undefined): boolean {
  return port === undefined || port === 443 || port === 80;
}

/** `ports`: which of them speak TLS; undefined = all. */
function destinationRule(name: string, ports: readonly (number | undefined)[], outside: Outside): object {
  const stated: UpstreamTls | undefined = outside.tls[name];
  const sni = stated?.sni ?? name;
  const tls = {
    mode: stated?.cert === undefined ? 'SIMPLE' : 'MUTUAL',
    clientCertificate: stated?.cert,
    privateKey: stated?.key,
    caCertificates: stated?.ca,
    sni,
    subjectAltNames: because('With an sni Istio checks no name of the certificate by itself.', [sni]),
  };
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: objectName(name), namespace: outside.namespace },
    spec: {
      host: name,
      exportTo: exportTo(outside),
      trafficPolicy: ports.includes(undefined)
        ? { tls }
        : { portLevelSettings: ports.map((number) => ({ port: { number }, tls })) },
    },
  };
}

function objectName(name: string): string {
  return `bearerd-${name.replaceAll('.', '-')}`.slice(0, 253);
}
