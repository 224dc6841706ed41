// Hosts outside the mesh: the app speaks plain HTTP and the sidecar makes TLS of it, or Envoy could not look into the request.
import { because } from '../../../lib/commented-yaml.ts';
import type { UpstreamTls } from '../upstreams.ts';
import type { IstioHost } from './istio-hosts.ts';

/** By host; files as istio-proxy sees them. A host that is missing here is reached with the authorities of the system. */
export type OutsideTls = Readonly<Record<string, UpstreamTls>>;

export interface Outside {
  readonly namespace: string;
  readonly tls: OutsideTls;
  /** Whether other namespaces see these hosts, as those do that send to a gateway. */
  readonly exported: boolean;
}

/** One ServiceEntry and one DestinationRule a host, since Istio takes only the first rule of several. */
export function outsideDocuments(hosts: readonly IstioHost[], outside: Outside): readonly object[] {
  const names = [...new Set(hosts.map(({ name }) => name))];
  return names.flatMap((name) => {
    const ports = hosts.filter((host) => host.name === name).map(({ port }) => port);
    return [serviceEntry(name, ports, outside), destinationRule(name, outside)];
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

function destinationRule(name: string, outside: Outside): object {
  const tls: UpstreamTls | undefined = outside.tls[name];
  const sni = tls?.sni ?? name;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: objectName(name), namespace: outside.namespace },
    spec: {
      host: name,
      exportTo: exportTo(outside),
      trafficPolicy: {
        tls: {
          mode: tls?.cert === undefined ? 'SIMPLE' : 'MUTUAL',
          clientCertificate: tls?.cert,
          privateKey: tls?.key,
          caCertificates: tls?.ca,
          sni,
          subjectAltNames: because('With an sni Istio checks no name of the certificate by itself.', [sni]),
        },
      },
    },
  };
}

function objectName(name: string): string {
  return `bearerd-${name.replaceAll('.', '-')}`.slice(0, 253);
}
