// A policy may ask its source for another audience, scope or resource (`inject: { source, audience }`). What it gets is
// another credential, so it is a source of its own under the names of both; policies that ask for the same share it.
import type { SourceConfig } from './config.ts';
import type { ConfigFile } from './schema.ts';
import { type KindName, kindOf } from './source/kinds.ts';
import type { Path } from './yaml-document.ts';

type FilePolicy = ConfigFile['outbound'][number];

/** Kinds whose token requests have these parameters. A refresh token has one chain only. */
const ASKABLE: ReadonlySet<KindName> = new Set(['client_credentials', 'jwt_bearer', 'token_exchange']);

export interface PolicySources {
  readonly sources: readonly SourceConfig[];
  /** Name of the source of each policy, by its place in the file. */
  readonly ofPolicy: readonly string[];
  /** Names of those that stand for this one of the file, itself among them where it is used. */
  named(source: string): readonly string[];
}

export function toPolicySources(
  outbound: readonly FilePolicy[],
  sources: readonly SourceConfig[],
): PolicySources {
  const own = new Map<string, SourceConfig>();
  const origin = new Map<string, string>();
  const asked = new Map<string, string>();
  const ofPolicy = outbound.map(({ name, inject: { source, asks } }) => {
    if (asks === undefined) return source;
    const key = JSON.stringify([source, asks.audience, asks.scope, asks.resource]);
    const known = asked.get(key);
    if (known !== undefined) return known;
    // No name of the file holds a colon.
    const derived = `${source}:${name}`;
    asked.set(key, derived);
    origin.set(derived, source);
    const stated = Object.fromEntries(Object.entries(asks).filter(([, value]) => value !== undefined));
    own.set(derived, { ...sources.find((one) => one.name === source)!, ...stated, name: derived });
    return derived;
  });
  const used = new Set([...ofPolicy, ...sources.flatMap(({ fallback }) => fallback ?? [])]);
  const replaced = new Set(origin.values());
  // One that every policy asks for something else would be fetched for nobody.
  const kept = sources.filter(({ name }) => used.has(name) || !replaced.has(name));
  return {
    sources: [...kept, ...own.values()],
    ofPolicy,
    named: (source) => [source, ...[...origin].filter(([, from]) => from === source).map(([name]) => name)],
  };
}

export function policySourceProblems(
  { sources, outbound }: ConfigFile,
  report: (path: Path, message: string) => void,
): void {
  outbound.forEach(({ inject: { source: name, asks } }, i) => {
    const source = Object.hasOwn(sources, name) ? sources[name] : undefined;
    if (asks === undefined || source === undefined) return;
    const key = (['audience', 'scope', 'resource'] as const).find((one) => asks[one] !== undefined)!;
    const path = ['outbound', i, 'inject', key];
    if (!ASKABLE.has(kindOf(source))) {
      report(path, `${name} is a ${kindOf(source)} source: it cannot be asked for another ${key}`);
    } else if (source.fallback !== undefined) {
      report(
        path,
        `${name} has a fallback, which would be asked without this ${key}; use a source of its own`,
      );
    }
  });
}
