// Token sources whose calls pass through their endpoint; its limits are shared with every other source of it.
import type { SourceConfig } from '../../config/config.ts';
import type { TokenSource } from '../../credential/credential.ts';
import { createTokenSource, type SourceDeps } from '../registry.ts';
import type { Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';

/** They ask nobody. */
const LOCAL: ReadonlySet<SourceConfig['type']> = new Set(['api_keys', 'file', 'signed_jwt', 'static']);

/** As configured; what calls nobody has no endpoint and stays as it is. */
export async function createGuardedTokenSource(
  config: SourceConfig,
  deps: SourceDeps,
  endpoints: Endpoints,
): Promise<TokenSource> {
  const source = await createTokenSource(config, deps);
  return LOCAL.has(config.type) ? source : guarded(source, endpoints.of(source.endpoint));
}

/** `limitMs` = of one call; default CALL_MS. */
export function guarded(source: TokenSource, endpoint: Endpoint, limitMs?: number): TokenSource {
  return {
    ...source,
    issue: (request) =>
      endpoint.run(source.name, request, (signal) => source.issue({ ...request, signal }), limitMs),
  };
}
