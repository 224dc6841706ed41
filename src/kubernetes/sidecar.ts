// bearerd as a container of a pod: what it may do, what it sees, and what it costs. The webhook, the manifests and the
// injection template are all made from here.
import type { SidecarOptions } from '../config/sidecar-file.ts';
import type { Container, Volume, VolumeMount } from './pod.ts';

export const SIDECAR_NAME = 'bearerd';
export const SOCKETS_VOLUME = 'bearerd-sockets';
const CONFIG_VOLUME = 'bearerd-config';
const SECRETS_VOLUME = 'bearerd-secrets';
const TOKEN_VOLUME = 'bearerd-token';
/** Volumes of a pod that only this webhook puts there. */
export const OUR_VOLUMES: ReadonlySet<string> = new Set([
  SOCKETS_VOLUME,
  CONFIG_VOLUME,
  SECRETS_VOLUME,
  TOKEN_VOLUME,
]);
/** Where listen.check and listen.xds put their sockets. */
export const SOCKETS_PATH = '/run/bearerd';
const CONFIG_PATH = '/etc/bearerd';
export const SECRETS_PATH = '/var/run/secrets/bearerd';
export const TOKEN_PATH = '/var/run/secrets/tokens';
export const HEALTH_PORT = 9193;

/**
 * Istio does not capture what this group sends, so that bearerd's own calls to providers never pass the Envoy that waits for
 * them; and istio-proxy runs in it, so that it may open the sockets.
 */
const ISTIO_GROUP = 1337;

/** Ends with 0 when /startupz answers 200. `node:http` and not fetch, which takes twice the time to load. */
const STARTED = `require('node:http').get('http://127.0.0.1:${HEALTH_PORT}/startupz', (r) => process.exit(r.statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))`;

export const socketsMount: VolumeMount = { name: SOCKETS_VOLUME, mountPath: SOCKETS_PATH };

/**
 * Nobody else mounts them, and the kubelet leaves files to root unless the pod has an fsGroup, which Istio gives none: with less
 * than this the sidecar could not read them. With an fsGroup a token is narrower by itself.
 */
const READABLE = 0o444;

/** A native sidecar (an init container that stays, Kubernetes 1.29): it starts before, and ends after, all others. */
export function buildSidecar(options: SidecarOptions): Container {
  const get = (path: string) => ({ httpGet: { path, port: HEALTH_PORT } });
  return {
    name: SIDECAR_NAME,
    image: options.image,
    args: ['serve', '--config', CONFIG_PATH],
    restartPolicy: 'Always',
    ports: [
      { name: 'bearerd-health', containerPort: HEALTH_PORT, protocol: 'TCP' },
      ...(options.statusPort === undefined
        ? []
        : [{ name: 'bearerd-status', containerPort: options.statusPort, protocol: 'TCP' }]),
    ],
    // By a program inside, since nobody outside can ask yet: Istio captures the kubelet's request, and its injector even turns
    // it to istio-proxy, for Envoys that start only after this one succeeded. Ten seconds of startup_wait and some more: a
    // provider that is down never keeps a pod from starting.
    startupProbe: {
      exec: { command: ['/usr/bin/node', '-e', STARTED] },
      periodSeconds: 1,
      timeoutSeconds: 5,
      failureThreshold: 30,
    },
    readinessProbe: { ...get('/readyz'), periodSeconds: 2 },
    livenessProbe: { ...get('/livez'), periodSeconds: 10, failureThreshold: 3 },
    resources: options.resources,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: options.runAsUser,
      runAsGroup: ISTIO_GROUP,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    volumeMounts: [
      socketsMount,
      { name: CONFIG_VOLUME, mountPath: CONFIG_PATH, readOnly: true },
      ...(options.secret === undefined
        ? []
        : [{ name: SECRETS_VOLUME, mountPath: SECRETS_PATH, readOnly: true }]),
      ...(options.tokenAudience === undefined
        ? []
        : [{ name: TOKEN_VOLUME, mountPath: TOKEN_PATH, readOnly: true }]),
    ],
  };
}

export function buildVolumes(options: SidecarOptions): readonly Volume[] {
  return [
    // In memory: a socket needs no disk, and nothing of it outlives the pod. With room for a state_dir there: a policy bundle of
    // 1 MiB, and the next one beside it.
    { name: SOCKETS_VOLUME, emptyDir: { medium: 'Memory', sizeLimit: '4Mi' } },
    { name: CONFIG_VOLUME, configMap: { name: options.configMap } },
    ...(options.secret === undefined
      ? []
      : [{ name: SECRETS_VOLUME, secret: { secretName: options.secret, defaultMode: READABLE } }]),
    ...(options.tokenAudience === undefined
      ? []
      : [
          {
            name: TOKEN_VOLUME,
            projected: {
              defaultMode: READABLE,
              sources: [
                {
                  serviceAccountToken: {
                    path: 'token',
                    audience: options.tokenAudience,
                    expirationSeconds: 3_600,
                  },
                },
              ],
            },
          },
        ]),
  ];
}
