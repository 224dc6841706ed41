// What another configuration changes, and whether a running process can follow it.
import type { Config, SourceConfig } from '../config/config.ts';
import { ConfigError } from '../lib/errors.ts';
import { fingerprint } from '../lib/fingerprint.ts';

/** What is made once, at the start: sockets that Envoy holds open, bounds, sinks. */
const AT_START = {
  mode: 'mode',
  listen: 'listen',
  limits: 'limits',
  audit: 'audit',
  stateDir: 'state_dir',
  envoyAdmin: 'envoy_admin',
  policyBundle: 'policy_bundle',
  sharedCache: 'shared_cache',
  tracing: 'tracing',
} as const satisfies Partial<Record<keyof Config, string>>;

/** Throws ConfigError for what needs a restart. */
export function refuseRestarts(before: Config, after: Config, file: string): void {
  const changed = (Object.keys(AT_START) as (keyof typeof AT_START)[]).filter(
    (key) => fingerprint(before[key]) !== fingerprint(after[key]),
  );
  if (changed.length === 0) return;
  throw new ConfigError(
    file,
    changed.map((key) => ({
      path: AT_START[key],
      line: undefined,
      column: undefined,
      message: 'changed, which needs a restart; until then the configuration before stays in force',
    })),
  );
}

/**
 * Names of the sources that are the same in both, secrets included, and whose fallbacks are. Whether one is required is
 * readiness's alone.
 */
export function unchangedSources(before: Config, after: Config): ReadonlySet<string> {
  const content = (source: SourceConfig): string => fingerprint({ ...source, required: undefined });
  const known = new Map(before.sources.map((source) => [source.name, content(source)]));
  const same = new Map(
    after.sources.map((source) => [source.name, known.get(source.name) === content(source)]),
  );
  return new Set(
    after.sources
      .filter(({ name, fallback }) => same.get(name) && (fallback === undefined || same.get(fallback)))
      .map(({ name }) => name),
  );
}
