// Puts the sidecar into a pod. Pure and idempotent: a pod that has it already, wherever another webhook moved things, comes
// out the same.
import type { SidecarOptions } from '../config/sidecar-file.ts';
import type { Container, Pod, Volume } from './pod.ts';
import {
  buildSidecar,
  buildVolumes,
  HEALTH_PORT,
  OUR_VOLUMES,
  SIDECAR_NAME,
  SOCKETS_VOLUME,
  socketsMount,
} from './sidecar.ts';

/** "false" on a pod keeps the sidecar out of it. */
const INJECT_LABEL = 'bearerd.io/inject';
/**
 * On a pod: another ConfigMap of its namespace than the webhook's. It gives nobody more than creating a pod there does, which
 * may mount any Secret of the namespace: who may not have the secrets of the sidecar gets a namespace of his own.
 */
const CONFIG_ANNOTATION = 'bearerd.io/config';
/** What the webhook did, as JSON. */
const STATUS_ANNOTATION = 'bearerd.io/status';

/** Of Istio: ports that are reached past Envoy, whatever mTLS the workload asks for: kubelet and Prometheus have none. */
const EXCLUDED_ANNOTATION = 'traffic.sidecar.istio.io/excludeInboundPorts';

export const PROXY_NAME = 'istio-proxy';

export interface Injected {
  readonly pod: Pod;
  readonly warnings: readonly string[];
}

/** undefined = the pod said no. */
export function injectSidecar(pod: Pod, webhookOptions: SidecarOptions): Injected | undefined {
  const { metadata = {}, spec = {} } = pod;
  if (metadata.labels?.[INJECT_LABEL] === 'false') return undefined;
  const options = {
    ...webhookOptions,
    // Charts write "" for what nobody set.
    configMap: metadata.annotations?.[CONFIG_ANNOTATION] || webhookOptions.configMap,
  };
  const warnings: string[] = [];
  if (spec['hostNetwork'] === true) {
    warnings.push(
      'bearerd: with hostNetwork the health port is the node’s: one such pod a node, and whoever reaches the node reaches it',
    );
  }
  const obstacle = obstacleIn(spec);
  if (obstacle !== undefined) return { pod, warnings: [`bearerd: ${obstacle}`] };
  for (const shared of ['hostPID', 'shareProcessNamespace']) {
    if (spec[shared] !== true) continue;
    warnings.push(`bearerd: with ${shared} other containers of the same user can read its memory`);
  }
  const others = (spec.initContainers ?? []).filter(({ name }) => name !== SIDECAR_NAME);
  for (const { name, volumeMounts = [] } of [...others, ...(spec.containers ?? [])]) {
    const lost = volumeMounts.filter((mount) => OUR_VOLUMES.has(mount.name)).map((mount) => mount.name);
    if (lost.length === 0 || name === PROXY_NAME) continue;
    warnings.push(`bearerd: container ${name} loses its mount of ${lost.join(', ')}: the sidecar’s own`);
  }
  const initContainers = others.map(withSockets);
  const containers = (spec.containers ?? []).map(withSockets);
  const proxyAt = initContainers.findIndex(({ name }) => name === PROXY_NAME);
  const hasProxy = proxyAt !== -1 || containers.some(({ name }) => name === PROXY_NAME);
  if (!hasProxy)
    warnings.push(`bearerd: no container ${PROXY_NAME} yet; its Envoy must mount ${SOCKETS_VOLUME}`);
  // Before Envoy, whose first secrets and Checks it answers. Without an Envoy among them before all others: they may send
  // requests too. istio-init and istio-validation send none.
  const at = proxyAt === -1 ? 0 : proxyAt;
  initContainers.splice(at, 0, buildSidecar(options));
  const volumes: readonly Volume[] = [
    ...(spec.volumes ?? []).filter(({ name }) => !OUR_VOLUMES.has(name)),
    ...buildVolumes(options),
  ];
  const status = JSON.stringify({
    container: SIDECAR_NAME,
    image: options.image,
    config: options.configMap,
    before: hasProxy ? PROXY_NAME : null,
  });
  return {
    pod: {
      ...pod,
      metadata: {
        ...metadata,
        annotations: {
          ...metadata.annotations,
          [EXCLUDED_ANNOTATION]: withPorts(
            metadata.annotations?.[EXCLUDED_ANNOTATION],
            [HEALTH_PORT, options.statusPort].filter((port) => port !== undefined),
          ),
          [STATUS_ANNOTATION]: status,
        },
      },
      spec: { ...spec, initContainers, containers, volumes, ...pullSecrets(spec, options) },
    },
    warnings,
  };
}

/** Why the sidecar has no place in this pod; undefined = it has one. Our own container is an init container that stays. */
function obstacleIn({
  os,
  initContainers = [],
  containers = [],
}: NonNullable<Pod['spec']>): string | undefined {
  if ((os as { name?: unknown } | undefined)?.name === 'windows') return 'Windows: nothing is injected';
  const theirs = [...containers, ...initContainers.filter(({ restartPolicy }) => restartPolicy !== 'Always')];
  return theirs.some(({ name }) => name === SIDECAR_NAME)
    ? `a container is called ${SIDECAR_NAME} already: nothing is injected, rename it`
    : undefined;
}

/** Nothing where none is missing: `imagePullSecrets: []` would be a change. */
function pullSecrets(
  { imagePullSecrets }: NonNullable<Pod['spec']>,
  options: SidecarOptions,
): Pick<NonNullable<Pod['spec']>, 'imagePullSecrets'> {
  const listed = imagePullSecrets ?? [];
  const missing = options.imagePullSecrets.filter(({ name }) => !listed.some((one) => one.name === name));
  return missing.length === 0 ? {} : { imagePullSecrets: [...listed, ...missing] };
}

function withPorts(excluded: string | undefined, ports: readonly number[]): string {
  const listed = (excluded ?? '')
    .split(',')
    .map((port) => port.trim())
    .filter((port) => port !== '');
  const missing = ports.map(String).filter((port) => !listed.includes(port));
  return missing.length === 0 ? excluded! : [...listed, ...missing].join(',');
}

/** Envoy sees the sockets; the app never does: whoever opens them may ask for tokens. Nobody else sees the secrets. */
function withSockets(container: Container): Container {
  const mounts = (container.volumeMounts ?? []).filter(({ name }) => !OUR_VOLUMES.has(name));
  if (container.name === PROXY_NAME) return { ...container, volumeMounts: [...mounts, socketsMount] };
  // Nothing of it is touched where nothing was wrong: `volumeMounts: []` would be a change.
  return mounts.length === (container.volumeMounts?.length ?? 0)
    ? container
    : { ...container, volumeMounts: mounts };
}
