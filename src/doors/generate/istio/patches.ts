// The shapes of EnvoyFilter that everything here is made of.
import { because } from '../../../lib/commented-yaml.ts';

/** Beside the app, at a gateway, or in front of the app. */
export type PatchContext = 'SIDECAR_OUTBOUND' | 'SIDECAR_INBOUND' | 'GATEWAY';

/** Which Envoys, and which side of them. */
export interface Placed {
  readonly namespace: string;
  readonly context: PatchContext;
  /** Labels of the pods; undefined = all of the namespace. */
  readonly selector: Readonly<Record<string, string>> | undefined;
}

const HCM = 'envoy.filters.network.http_connection_manager';
const ROUTER = 'envoy.filters.http.router';

/** Its own for each set of Envoys of a namespace: what is applied for one never takes the place of another's. */
export function objectName(name: string, { context, selector }: Placed): string {
  const labels = Object.entries(selector ?? {}).flat();
  const whose = labels.length === 0 && context === 'GATEWAY' ? ['gateway'] : labels;
  return [name, ...whose.map((one) => one.toLowerCase().replaceAll(/[^a-z0-9.]+/g, '-'))].join('-');
}

/** `priority`: a lower one is applied before; Istio orders those of the same by their age. */
export function envoyFilter(
  placed: Placed,
  name: string,
  configPatches: readonly object[],
  priority?: number,
): object {
  const { namespace, selector } = placed;
  return {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: objectName(name, placed), namespace },
    spec: {
      workloadSelector: selector && { labels: selector },
      priority: priority && because('Before the other objects, also where these are older.', priority),
      configPatches,
    },
  };
}

export function addCluster({ context }: Placed, value: object): object {
  return { applyTo: 'CLUSTER', match: { context }, patch: { operation: 'ADD', value } };
}

export function mergeManager({ context }: Placed, value: object): object {
  return {
    applyTo: 'NETWORK_FILTER',
    match: { context, listener: { filterChain: { filter: { name: HCM } } } },
    patch: {
      operation: 'MERGE',
      value: {
        typed_config: {
          '@type':
            'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
          ...value,
        },
      },
    },
  };
}

/** INSERT_BEFORE: right before the router, after those that were inserted so before. MERGE: into the router itself. */
export function atRouter({ context }: Placed, operation: 'INSERT_BEFORE' | 'MERGE', value: unknown): object {
  return {
    applyTo: 'HTTP_FILTER',
    match: {
      context,
      listener: { filterChain: { filter: { name: HCM, subFilter: { name: ROUTER } } } },
    },
    patch: { operation, value },
  };
}

/** Before every other HTTP filter. */
export function insertFirst({ context }: Placed, value: unknown): object {
  return {
    applyTo: 'HTTP_FILTER',
    match: { context, listener: { filterChain: { filter: { name: HCM } } } },
    patch: { operation: 'INSERT_FIRST', value },
  };
}
