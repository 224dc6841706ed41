// Names that istiod gives to clusters of services: outbound|PORT|SUBSET|SERVICE.

export interface MeshCluster {
  readonly port: number;
  readonly service: string;
}

/** undefined where it is none of these. */
export function meshCluster(name: string): MeshCluster | undefined {
  const [, port, service] = /^outbound\|(\d+)\|[^|]*\|(.+)$/.exec(name) ?? [];
  return service === undefined ? undefined : { port: Number(port), service };
}
