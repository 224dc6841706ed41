// Hosts outside the mesh: the app speaks plain HTTP and the sidecar makes TLS of it, or Envoy could not look into the request.
import { because } from '../../../lib/commented-yaml.ts';
import type { UpstreamTls } from '../upstreams.ts';
import type { IstioHost } from './istio-hosts.ts';

/** By host; files as istio-proxy sees them. A host that is missing here is reached with the authorities of the system. */
export type OutsideTls = Readonly<Record<string, UpstreamTls>>;

/** One ServiceEntry and one DestinationRule a host, since Istio takes only the first rule of several. */
export function outsideDocuments(
  hosts: readonly IstioHost[],
  namespace: string,
  tls: OutsideTls,
): readonly object[] {
  const names = [...new Set(hosts.map(({ name }) => name))];
  return names.flatMap((name) => {
    const ports = hosts.filter((host) => host.name === name).map(({ port }) => port);
    return [serviceEntry(name, ports, namespace), destinationRule(name, namespace, tls[name])];
  });
}

function serviceEntry(name: string, ports: readonly (number | undefined)[], namespace: string): object {
  const asHttp = ports.some(isWellKnown);
  const others = ports.filter((port) => !isWellKnown(port));
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: objectName(name), namespace },
    spec: {
      hosts: [name],
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

function destinationRule(name: string, namespace: string, tls: UpstreamTls | undefined): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: objectName(name), namespace },
    spec: {
      host: name,
      trafficPolicy: {
        tls: {
          mode: tls?.cert === undefined ? 'SIMPLE' : 'MUTUAL',
          clientCertificate: tls?.cert,
          privateKey: tls?.key,
          caCertificates: tls?.ca,
          sni: tls?.sni ?? name,
        },
      },
    },
  };
}

function objectName(name: string): string {
  return `bearerd-${name.replaceAll('.', '-')}`.slice(0, 253);
}
