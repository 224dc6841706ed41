// A real istiod beside a real Kubernetes API, and a plain Envoy that joins it by ADS as the sidecar of one workload. Nothing
// redirects traffic here: the app's requests go to an egress listener of a Sidecar resource.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { IstioParts } from '../../tools/parts/istio.ts';
import { type StartedEnvoy, startEnvoy } from './envoy.ts';
import type { Kubernetes } from './kubernetes.ts';
import { type MeshProxy, proxyBootstrap } from './mesh-proxy.ts';
import { freePorts } from './ports.ts';
import { type StartedProcess, startProcess } from './process.ts';

export interface Istio {
  /** What the Envoys were sent, and what they said of it. */
  sync(): Promise<readonly SyncStatus[]>;
  /** Starts the Envoy of the workload `app` in `namespace`; its requests go to `port`, those for it come in by `inbound`. */
  joinEnvoy(
    namespace: string,
    port: number,
    inbound?: InboundPorts,
    clusters?: readonly object[],
  ): Promise<StartedEnvoy>;
  /** Starts an Envoy that gets everything from istiod. */
  startProxy(proxy: MeshProxy): Promise<StartedEnvoy>;
  readonly process: StartedProcess;
  /** Port of the authority on loopback, with TLS for istiod.istio-system.svc. */
  readonly authorityPort: number;
  stop(): Promise<void>;
}

export interface InboundPorts {
  readonly port: number;
  /** Where the app listens on loopback. */
  readonly app: number;
  /** Of a service that filters ask: only services on a port of an egress listener have a cluster here. */
  readonly provider: number;
}

/** One resource type of one proxy. */
export interface SyncStatus {
  readonly type: string;
  readonly acked: boolean;
  readonly error: string | undefined;
}

/** `mesh`: more lines of the mesh configuration. */
export async function startIstio(parts: IstioParts, cluster: Kubernetes, mesh = ''): Promise<Istio> {
  await cluster.kubectl(['apply', '--server-side', '-f', parts.crds]);
  await cluster.createNamespace('istio-system');
  const [grpc, secure, http, monitoring] = (await freePorts(4)) as [number, number, number, number];
  const meshFile = join(cluster.folder, 'mesh.yaml');
  // Certificates of the mesh come from istio-agent, which a plain Envoy has not beside it: a gateway would wait for them.
  const autoMtls = mesh.includes('enableAutoMtls') ? '' : 'enableAutoMtls: false\n';
  writeFileSync(meshFile, `outboundTrafficPolicy: { mode: REGISTRY_ONLY }\n${autoMtls}${mesh}`);
  const pilot = await startProcess(
    parts.pilot,
    [
      ...[
        'discovery',
        `--meshConfig=${meshFile}`,
        `--kubeconfig=${cluster.kubeconfig}`,
        '--registries=Kubernetes',
      ],
      ...[
        `--grpcAddr=127.0.0.1:${grpc}`,
        `--secureGRPCAddr=127.0.0.1:${secure}`,
        `--httpAddr=127.0.0.1:${http}`,
        '--httpsAddr=',
      ],
      ...[`--monitoringAddr=127.0.0.1:${monitoring}`, '--ctrlz_port=0'],
    ],
    {
      name: 'istiod',
      env: {
        ...process.env,
        // What only Istio's own build of Envoy has: a plain one would refuse clusters and listeners.
        PILOT_ENABLE_METADATA_EXCHANGE: 'false',
        PILOT_ENABLE_ALPN_FILTER: 'false',
        POD_NAMESPACE: 'istio-system',
        CLUSTER_ID: 'Kubernetes',
      },
    },
  );
  const envoys: StartedEnvoy[] = [];
  const debug = `http://127.0.0.1:${http}`;
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    if (
      await fetch(`${debug}/ready`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      break;
    if (Date.now() > deadline) throw new Error(`istiod is not ready:\n${pilot.output()}`);
  }
  async function startProxy(proxy: MeshProxy): Promise<StartedEnvoy> {
    const envoy = await startEnvoy({ config: proxyBootstrap(proxy, grpc) });
    envoys.push(envoy);
    return envoy;
  }
  return {
    process: pilot,
    authorityPort: secure,
    async sync() {
      const proxies = (await (await fetch(`${debug}/debug/syncz`)).json()) as {
        resources: Record<string, { sent?: string; acked?: string; lastError?: string; error?: string }>;
      }[];
      return proxies
        .flatMap(({ resources }) => Object.entries(resources))
        .map(([type, { sent, acked, lastError, error }]) => ({
          type: type.split('.').at(-1)!,
          acked: sent === acked,
          error: lastError ?? error,
        }));
    },
    async joinEnvoy(namespace, port, inbound, clusters = []) {
      const sidecar = {
        apiVersion: 'networking.istio.io/v1',
        kind: 'Sidecar',
        metadata: { name: 'default', namespace },
        spec: {
          ...(inbound && {
            ingress: [
              {
                port: { number: inbound.port, protocol: 'HTTP', name: 'ingress' },
                bind: '127.0.0.1',
                captureMode: 'NONE',
                defaultEndpoint: `127.0.0.1:${inbound.app}`,
              },
            ],
          }),
          egress: [
            ...(inbound
              ? [
                  {
                    port: { number: inbound.provider, protocol: 'HTTP', name: 'provider' },
                    bind: '127.0.0.2',
                    captureMode: 'NONE',
                    hosts: ['*/*'],
                  },
                ]
              : []),
            {
              port: { number: port, protocol: 'HTTP', name: 'egress' },
              bind: '127.0.0.1',
              captureMode: 'NONE',
              hosts: ['*/*'],
            },
          ],
        },
      };
      await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(sidecar));
      return startProxy({ type: 'sidecar', namespace, labels: { app: 'app' }, clusters });
    },
    startProxy,
    async stop() {
      for (const envoy of envoys) await envoy.stop();
      await pilot.stop();
    },
  };
}
