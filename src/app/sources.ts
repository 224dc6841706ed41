// From the configured sources to what the store takes: each with its endpoint's limits, the shared cache around it and its
// fallback behind it.
import type { Config, SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import type { StoredSource } from '../credential/store.ts';
import type { Tracer } from '../lib/trace.ts';
import type { SharedCache } from '../shared-cache/shared-cache.ts';
import type { Endpoints } from '../source/endpoint/endpoints.ts';
import { createGuardedTokenSource } from '../source/endpoint/guarded-source.ts';
import { createFallbackSource } from '../source/fallback.ts';
import type { SourceDeps } from '../source/registry.ts';
import { createTracedSource } from '../source/traced.ts';

export interface BuildDeps extends SourceDeps {
  readonly endpoints: Endpoints;
  readonly around: SharedCache['around'];
  readonly tracer: Tracer | undefined;
}

export interface BuiltSources {
  /** By name, without their fallbacks. */
  readonly alone: ReadonlyMap<string, TokenSource>;
  /** In the order of the configuration. */
  readonly stored: readonly StoredSource[];
}

/** `kept` are those of the configuration before that go on as they are. */
export async function buildSources(
  sources: Config['sources'],
  deps: BuildDeps,
  kept: BuiltSources = { alone: new Map(), stored: [] },
): Promise<BuiltSources> {
  const alone = new Map<string, TokenSource>();
  for (const source of sources) {
    alone.set(source.name, kept.alone.get(source.name) ?? (await createAlone(source, deps)));
  }
  const known = new Map(kept.stored.map((stored) => [stored.source.name, stored]));
  const stored = sources.map(({ name, required, maxLifetimeMs, fallback }): StoredSource => {
    const before = known.get(name);
    if (before !== undefined) return { ...before, required };
    const first = alone.get(name)!;
    const source = fallback === undefined ? first : createFallbackSource(first, alone.get(fallback)!, deps);
    return { source, required, maxLifetimeMs };
  });
  return { alone, stored };
}

async function createAlone(config: SourceConfig, deps: BuildDeps): Promise<TokenSource> {
  const source = deps.around(await createGuardedTokenSource(config, deps, deps.endpoints), config);
  return deps.tracer === undefined ? source : createTracedSource(source, deps.tracer);
}

/** Without the sources that are not in `unchanged`. */
export function only({ alone, stored }: BuiltSources, unchanged: ReadonlySet<string>): BuiltSources {
  return {
    alone: new Map([...alone].filter(([name]) => unchanged.has(name))),
    stored: stored.filter(({ source }) => unchanged.has(source.name)),
  };
}
