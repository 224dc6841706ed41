// What a signed bundle must not say. Whoever signs it decides for a fleet which requests get a credential, and not what this
// machine has: its listeners, its programs, its files and variables are named by the local file alone.
import { resolve, sep } from 'node:path';
import type { MergedDocument, Part } from './merged-document.ts';
import type { Report } from './problems.ts';
import type { ConfigFile } from './schema.ts';
import { toMessageSignature } from './schema-proof.ts';
import { kindOf, kinds } from './source/kinds.ts';
import type { Path } from './yaml-document.ts';

type ToConfig = (value: unknown, path: (relative: string) => string) => object;

const KEYS = new Set(['$schema', 'version', 'sources', 'outbound']);

/** Keys that only a local file has. */
export function localKeys({ origin, document: { value } }: Part): readonly string[] {
  if (!origin.ofBundle || typeof value !== 'object' || value === null) return [];
  return Object.keys(value).filter((key) => !KEYS.has(key));
}

/** Programs, files, variables and sources of this machine that `policy_bundle.allow` does not name. */
export function bundleProblems(
  file: ConfigFile,
  document: MergedDocument,
  folder: string,
  report: Report,
): void {
  const isOfBundle = (path: Path): boolean => document.originOf(path)?.ofBundle === true;
  const allow = file.policy_bundle?.allow;
  const path = bundlePath(file, folder);

  function references(at: Path, build: (path: (relative: string) => string) => unknown): void {
    const files: string[] = [];
    const built = build((relative) => {
      files.push(path(relative));
      return path(relative);
    });
    const { names, sockets } = found(built);
    const root = allow?.files === undefined ? undefined : resolve(folder, allow.files) + sep;
    for (const one of [...files, ...sockets]) {
      if (root === undefined || !one.startsWith(root))
        report(at, `${one} is not below policy_bundle.allow.files, ${root ?? 'which is not set'}`);
    }
    for (const name of names) {
      if (!allow?.env.includes(name))
        report(at, `the environment variable ${name} is not in policy_bundle.allow.env`);
    }
  }
  function localSource(at: Path, name: string | undefined): void {
    if (name === undefined || !Object.hasOwn(file.sources, name) || isOfBundle(['sources', name])) return;
    if (!allow?.sources.includes(name))
      report(at, `${name} is a source of the local file and not in policy_bundle.allow.sources`);
  }

  for (const [name, source] of Object.entries(file.sources)) {
    const at = ['sources', name];
    if (!isOfBundle(at)) continue;
    const type = kindOf(source);
    localSource([...at, 'fallback'], source.fallback);
    if (type === 'exec')
      report([...at, type], 'a bundle runs no program: put the source into the local file');
    else references([...at, type], (resolved) => (kinds[type].toConfig as ToConfig)(source[type], resolved));
  }
  file.outbound.forEach(({ inject, sign }, i) => {
    if (!isOfBundle(['outbound', i])) return;
    localSource(['outbound', i, 'inject', 'source'], inject?.source);
    if (sign !== undefined)
      references(['outbound', i, 'sign'], (resolved) => toMessageSignature(sign, undefined, resolved));
  });
}

/** How relative paths of a bundle are resolved. */
export function bundlePath(
  { policy_bundle: bundle }: ConfigFile,
  folder: string,
): (relative: string) => string {
  return (relative) => resolve(folder, bundle?.allow.files ?? '.', relative);
}

/** References that no path resolver sees: environment variables, and Unix sockets by their own key. */
function found(value: unknown): { readonly names: readonly string[]; readonly sockets: readonly string[] } {
  if (typeof value !== 'object' || value === null) return { names: [], sockets: [] };
  const { from, name, socket } = value as { from?: unknown; name?: unknown; socket?: unknown };
  const inner = Object.values(value).map(found);
  return {
    names: [...(from === 'env' ? [String(name)] : []), ...inner.flatMap(({ names }) => names)],
    sockets: [...(typeof socket === 'string' ? [socket] : []), ...inner.flatMap(({ sockets }) => sockets)],
  };
}
