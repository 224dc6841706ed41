// Where the hosts of a whole configuration really are: stated by the caller, or the host itself by DNS.
import { isIP } from 'node:net';
import { isLoopback } from '../../lib/address.ts';
import type { PlannedEndpoint } from './plan.ts';

export interface Upstream {
  /** IP address or DNS name. */
  readonly address: string;
  readonly port: number;
  /** undefined = plain HTTP. */
  readonly tls?: UpstreamTls;
}

/** File paths as Envoy sees them. */
export interface UpstreamTls {
  readonly ca: string;
  readonly cert?: string;
  readonly key?: string;
  /** Name sent and verified; undefined = the request's host. */
  readonly sni?: string;
}

/** Keyed by `host:port`, `host` or `*.host`; `*` = requests to hosts without a policy. */
export type Upstreams = Readonly<Record<string, Upstream>>;

const SYSTEM_CA = '/etc/ssl/certs/ca-certificates.crt';

/** What was stated for this endpoint, the port's own entry first. */
export function statedUpstream(upstreams: Upstreams, endpoint: PlannedEndpoint): Upstream | undefined {
  const names = endpoint.names.map((name) => (endpoint.wildcard ? `*.${name}` : name));
  const own = endpoint.port === undefined ? [] : names.map((name) => `${name}:${endpoint.port}`);
  const key = [...own, ...names].find((k) => Object.hasOwn(upstreams, k));
  return key === undefined ? undefined : upstreams[key];
}

/** TLS to the well-known port, unless the name or the port says that it is inside the cluster or plain. */
export function assumedTls(endpoint: PlannedEndpoint): UpstreamTls | undefined {
  const inCluster = endpoint.names.some(
    (name) => !name.includes('.') || /\.svc(\.cluster\.local)?$/.test(name),
  );
  return inCluster || endpoint.port === 80 ? undefined : { ca: SYSTEM_CA };
}

export function assumedUpstream(endpoint: PlannedEndpoint): Upstream {
  const tls = assumedTls(endpoint);
  const port = endpoint.port ?? (tls ? 443 : 80);
  return { address: endpoint.names[0]!, port, ...(tls ? { tls } : {}) };
}

/** Without TLS, and nobody between: on this machine. */
export function isLocal(upstreams: Upstreams, endpoint: PlannedEndpoint): boolean {
  const { address, tls } = statedUpstream(upstreams, endpoint) ?? assumedUpstream(endpoint);
  return tls === undefined && isLoopback(address);
}

export function isIpAddress(address: string): boolean {
  return isIP(address) !== 0;
}
