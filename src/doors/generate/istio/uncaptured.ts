// What bearerd itself calls inside the mesh. Its traffic is not captured (group 1337), so it shows no certificate of the mesh, and
// a workload under STRICT mTLS refuses it.
import type { Config } from '../../../config/config.ts';

/** Hosts inside the cluster that bearerd asks: providers, issuers, Redis, bundle and collector. */
export function uncapturedHosts(config: Config): readonly string[] {
  const found = new Set<string>();
  const look = (value: unknown): void => {
    if (typeof value === 'string') {
      const host =
        /^(?:https?:\/\/)?([a-z0-9-]+(?:\.[a-z0-9-]+)*\.svc(?:\.cluster\.local)?)(?::\d+)?(?:\/|$)/i.exec(
          value,
        )?.[1];
      if (host !== undefined) found.add(host.toLowerCase());
    } else if (typeof value === 'object' && value !== null) {
      Object.values(value).forEach(look);
    }
  };
  look(config.sources);
  look(config.sharedCache);
  look(config.inbound?.issuers);
  look(config.policyBundle?.url);
  look(config.tracing?.otlpEndpoint);
  return [...found];
}

export function uncapturedLines(config: Config): string[] {
  return uncapturedHosts(config).flatMap((host) => [
    `INSIDE THE MESH: bearerd itself asks ${host}, and its traffic is not captured. Under STRICT mTLS it is refused:`,
    `  a PeerAuthentication in ${host.split('.')[1]} for that workload with portLevelMtls of its port PERMISSIVE (or DISABLE) lets it in.`,
  ]);
}
