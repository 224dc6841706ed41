// Token sources whose calls pass through their endpoint; its limits are shared with every other source of it.
import type { SourceConfig } from '../../config/config.ts';
import type { TokenSource } from '../../credential/credential.ts';
import { CALL_MS, REGION_PATIENCE_MS } from '../../credential/numbers.ts';
import { createTokenSource, type SourceDeps } from '../registry.ts';
import type { Endpoint } from './endpoint.ts';
import type { Endpoints } from './endpoints.ts';
import { createRegionalSource } from './regions.ts';

/** They ask nobody. */
const LOCAL: ReadonlySet<SourceConfig['type']> = new Set(['api_keys', 'file', 'signed_jwt', 'static']);

/** As configured; what calls nobody has no endpoint and stays as it is. */
export async function createGuardedTokenSource(
  config: SourceConfig,
  deps: SourceDeps,
  endpoints: Endpoints,
): Promise<TokenSource> {
  if (LOCAL.has(config.type)) return createTokenSource(config, deps);
  const places = inRegions(config);
  const regions = places.map(async (place, i) => {
    const source = await createTokenSource(place, deps);
    const isLast = i === places.length - 1;
    return guarded(source, endpoints.of(source.endpoint), isLast ? CALL_MS : REGION_PATIENCE_MS);
  });
  return createRegionalSource(await Promise.all(regions));
}

/** Itself, and itself at each other address. */
function inRegions(config: SourceConfig): readonly SourceConfig[] {
  if (!('regions' in config)) return [config];
  const at = (address: string): SourceConfig =>
    config.issuer === undefined ? { ...config, tokenEndpoint: address } : { ...config, issuer: address };
  return [config, ...config.regions.map(at)];
}

/** `limitMs` = of one call. */
function guarded(source: TokenSource, endpoint: Endpoint, limitMs: number): TokenSource {
  return {
    ...source,
    issue: (request) =>
      endpoint.run(source.name, request, (signal) => source.issue({ ...request, signal }), limitMs),
  };
}
