// The endpoints of all sources, each once.
import { createEndpoint, type Endpoint, type EndpointDeps, type EndpointStatus } from './endpoint.ts';

export interface Endpoints {
  of(address: string): Endpoint;
  status(): readonly EndpointStatus[];
}

export function createEndpoints(deps: EndpointDeps): Endpoints {
  const endpoints = new Map<string, Endpoint>();
  return {
    of(address) {
      const endpoint = endpoints.get(address) ?? createEndpoint(address, deps);
      endpoints.set(address, endpoint);
      return endpoint;
    },
    status: () => [...endpoints.values()].map((endpoint) => endpoint.status()),
  };
}
