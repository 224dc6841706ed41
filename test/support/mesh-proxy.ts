// The bootstrap of an Envoy that gets its listeners, routes and clusters from istiod by ADS, as istio-agent would write it.

export interface MeshProxy {
  /** sidecar: of one workload; router: a gateway. */
  readonly type: 'sidecar' | 'router';
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Beside the one of istiod. */
  readonly clusters?: readonly object[];
}

/** `grpc`: port of istiod on loopback. */
export function proxyBootstrap({ type, namespace, labels, clusters = [] }: MeshProxy, grpc: number): object {
  const ads = { ads: {}, resource_api_version: 'V3' };
  const app = Object.values(labels)[0]!;
  return {
    node: {
      // No endpoint of a service entry: istiod would give the proxy that one's labels, which are none.
      id: `${type}~127.0.0.99~${app}-1.${namespace}~${namespace}.svc.cluster.local`,
      cluster: `${app}.${namespace}`,
      metadata: {
        NAMESPACE: namespace,
        CLUSTER_ID: 'Kubernetes',
        ISTIO_VERSION: '1.30.0',
        LABELS: labels,
        INTERCEPTION_MODE: 'NONE',
      },
    },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'istiod' } }],
      },
    },
    static_resources: { clusters: [grpcCluster('istiod', grpc), ...clusters] },
  };
}

/** On loopback. */
export function grpcCluster(name: string, port_value: number): object {
  const address = { socket_address: { address: '127.0.0.1', port_value } };
  return {
    name,
    connect_timeout: '1s',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
}
