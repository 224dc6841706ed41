// Ports and sockets of a sidecar, out of its configuration: where it is asked, and what it asks on other machines itself.
import type { Config, SourceConfig } from '../config/config.ts';
import type { SidecarOptions } from '../config/sidecar-file.ts';
import { kinds } from '../config/source/kinds.ts';
import { isLoopback, type ListenAddress } from '../lib/address.ts';
import { HEALTH_PORT, SOCKETS_PATH } from './sidecar.ts';

/** Where others than this machine ask: kubelet, Prometheus, who looks at the status page, an Envoy elsewhere. Each once, in order. */
export function portsListened({ listen }: Config): readonly number[] {
  return sorted(
    [listen.health, listen.status?.listener, listen.check?.listener, listen.checkInbound?.listener]
      .filter((address: ListenAddress | undefined) => address?.kind === 'tcp')
      .filter(({ host }) => !isLoopback(host))
      .map(({ port }) => port),
  );
}

/**
 * TCP ports of providers, issuers, bundle, collector and Redis. Not of what these name in their turn: endpoints that discovery
 * tells, nodes of a Redis cluster, and a proxy of the environment.
 */
export function portsAsked({
  sources,
  inbound,
  policyBundle,
  tracing,
  sharedCache,
}: Config): readonly number[] {
  const issuers = (inbound?.issuers ?? []).map((issuer) => {
    if (issuer.kind === 'introspection') return issuer.endpoint;
    if (issuer.keys.from === 'url') return issuer.keys.url;
    return issuer.keys.from === 'discovery' ? issuer.issuer : undefined;
  });
  const urls = [...sources.flatMap(providerUrls), ...issuers, policyBundle?.url, tracing?.otlpEndpoint];
  const redis = (sharedCache?.redis.nodes ?? []).filter(({ host }) => !isLoopback(host));
  return sorted([...urls.flatMap((url) => portOf(url)), ...redis.map(({ port }) => port)]);
}

function providerUrls(source: SourceConfig): readonly (string | undefined)[] {
  const values = source as unknown as Readonly<Record<string, string | readonly string[] | undefined>>;
  return kinds[source.type].providerUrls.flatMap(
    (key) => values[key.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())] ?? [],
  );
}

function portOf(url: string | undefined): number[] {
  if (url === undefined) return [];
  const { protocol, hostname, port } = new URL(url);
  if (isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))) return [];
  return [port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)];
}

function sorted(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** Why a pod with this sidecar and this configuration would not work; each with the way out. */
export function listenRefusals({ listen, stateDir }: Config, { statusPort }: SidecarOptions): string[] {
  const problems = Object.entries({
    check: listen.check?.listener,
    check_inbound: listen.checkInbound?.listener,
    xds: listen.xds.map(({ listener }) => listener),
    admin: listen.admin,
  })
    .flatMap(([name, addresses]) => [addresses ?? []].flat().map((address) => ({ name, address })))
    .filter(({ address }) => address.kind === 'unix' && !isBelowSockets(address.path))
    .map(
      ({ name }) =>
        `listen.${name} has to be a socket in ${SOCKETS_PATH}: nothing else of the sidecar is writable`,
    );
  if (stateDir !== undefined && !isBelowSockets(`${stateDir}/`)) {
    problems.push(`state_dir has to be ${SOCKETS_PATH}: nothing else of the sidecar is writable`);
  }
  const { health } = listen;
  if (health?.port !== HEALTH_PORT || isLoopback(health.host)) {
    problems.push(
      `listen.health has to be 0.0.0.0:${HEALTH_PORT}: the kubelet asks there, or the pod is never ready`,
    );
  }
  const status = listen.status?.listener;
  const seen = status === undefined || isLoopback(status.host) ? undefined : status.port;
  if (seen !== statusPort) {
    problems.push(
      seen === undefined
        ? `status_port of the sidecar file is ${statusPort}, and listen.status listens on no such port beyond loopback`
        : `listen.status is on port ${seen}: status_port: ${seen} in the sidecar file, or nobody outside the pod reaches it`,
    );
  }
  return problems;
}

function isBelowSockets(path: string): boolean {
  return path.startsWith(`${SOCKETS_PATH}/`);
}
