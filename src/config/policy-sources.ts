// A policy may ask its source for another audience, scope, resource or claims (`inject: { source, audience }`). What it gets is
// another credential, so it is a source of its own under the names of both; policies that ask for the same share it.
import type { SourceConfig } from './config.ts';
import type { Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';
import type { AskedParameters } from './schema-inject.ts';
import { type KindName, kindOf } from './source/kinds.ts';

type FilePolicy = ConfigFile['outbound'][number];

type Asked = keyof AskedParameters;

/** What a policy may ask of a kind. A refresh token has one chain only. */
const ASKABLE: Partial<Record<KindName, readonly Asked[]>> = {
  client_credentials: ['audience', 'scope', 'resource'],
  jwt_bearer: ['audience', 'scope', 'resource'],
  token_exchange: ['audience', 'scope', 'resource'],
  signed_jwt: ['audience', 'scope', 'claims'],
  spiffe_jwt: ['audience'],
};

const asksOf = (asks: AskedParameters) =>
  (Object.keys(asks) as Asked[]).filter((key) => asks[key] !== undefined);

/** The keys of the source that the policy states. */
function asked(source: SourceConfig, asks: AskedParameters): Record<string, unknown> {
  const stated: Record<string, unknown> = Object.fromEntries(asksOf(asks).map((key) => [key, asks[key]]));
  switch (source.type) {
    case 'signed_jwt':
      if (asks.claims !== undefined) stated['claims'] = { ...source.claims, ...asks.claims };
      return asks.audience === undefined ? stated : { ...stated, audience: [asks.audience] };
    case 'spiffe_jwt':
      return { audience: [asks.audience] };
    default:
      return stated;
  }
}

export interface PolicySources {
  readonly sources: readonly SourceConfig[];
  /** Name of the source of each policy, by its place in the file; undefined = it has none. */
  readonly ofPolicy: readonly (string | undefined)[];
  /** Names of those that stand for this one of the file, itself among them where it is used. */
  named(source: string): readonly string[];
}

/** `exchanged`: names of the sources that inbound policies use. */
export function toPolicySources(
  outbound: readonly FilePolicy[],
  sources: readonly SourceConfig[],
  exchanged: readonly string[],
): PolicySources {
  const own = new Map<string, SourceConfig>();
  const origin = new Map<string, string>();
  const derivedBy = new Map<string, string>();
  const ofPolicy = outbound.map(({ name, inject }) => {
    if (inject?.asks === undefined) return inject?.source;
    const { source, asks } = inject;
    const key = JSON.stringify([source, asks.audience, asks.scope, asks.resource, asks.claims]);
    const known = derivedBy.get(key);
    if (known !== undefined) return known;
    // No name of the file holds a colon.
    const derived = `${source}:${name}`;
    derivedBy.set(key, derived);
    origin.set(derived, source);
    const of = sources.find((one) => one.name === source)!;
    own.set(derived, { ...of, ...asked(of, asks), name: derived } as SourceConfig);
    return derived;
  });
  const used = new Set([...ofPolicy, ...exchanged, ...sources.flatMap(({ fallback }) => fallback ?? [])]);
  const replaced = new Set(origin.values());
  // One that every policy asks for something else would be fetched for nobody.
  const kept = sources.filter(({ name }) => used.has(name) || !replaced.has(name));
  return {
    sources: [...kept, ...own.values()],
    ofPolicy,
    named: (source) => [source, ...[...origin].filter(([, from]) => from === source).map(([name]) => name)],
  };
}

export function policySourceProblems({ sources, outbound }: ConfigFile, report: Report): void {
  outbound.forEach(({ inject }, i) => {
    if (inject === undefined) return;
    const { source: name, asks } = inject;
    const source = Object.hasOwn(sources, name) ? sources[name] : undefined;
    if (asks === undefined || source === undefined) return;
    const askable = ASKABLE[kindOf(source)] ?? [];
    for (const key of asksOf(asks)) {
      const path = ['outbound', i, 'inject', key];
      if (!askable.includes(key)) {
        const other = key === 'claims' ? 'other claims' : `another ${key}`;
        report(path, `${name} is a ${kindOf(source)} source: it cannot be asked for ${other}`);
      } else if (source.fallback !== undefined) {
        report(
          path,
          `${name} has a fallback, which would be asked without this ${key}; use a source of its own`,
        );
      }
    }
  });
}
