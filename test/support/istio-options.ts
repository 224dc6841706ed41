import type { GenerateIstioOptions } from '../../src/doors/generate/istio/istio.ts';

/** What `generate istio` for a sidecar takes where nothing is said. */
export const ISTIO_OPTIONS: GenerateIstioOptions = {
  door: 'best',
  namespace: 'shop',
  context: 'sidecar',
  inbound: 'filter',
  tls: {},
  selector: undefined,
  retries: 'patch',
  clusterOptions: new Map(),
};
