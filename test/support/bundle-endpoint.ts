// The bundle endpoint of a SPIFFE trust domain (SPIFFE Federation, section 5.2): its keys over TLS.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Authority } from '../../demo/certificates.ts';
import type { StartedWorkloadApi } from './workload-api.ts';

export interface BundleEndpoint {
  readonly url: string;
  stop(): void;
}

export async function startBundleEndpoint(
  authority: Authority,
  workloadApi: StartedWorkloadApi,
): Promise<BundleEndpoint> {
  const { cert, key } = await authority.issue('localhost', 'server');
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (_, response) => {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ...workloadApi.jwks(), spiffe_refresh_hint: 60 }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://localhost:${(server.address() as AddressInfo).port}/`,
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
