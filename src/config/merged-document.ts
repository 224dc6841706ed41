// Several files as one: sources by their names, outbound in the order of the files, every other key in one file only.
// A name or key that stands in two places is a problem with both places; nothing is overridden silently.
import type { ConfigProblem } from '../lib/errors.ts';
import type { ConfigText } from './config-texts.ts';
import { problemAt } from './problems.ts';
import type { Path, YamlDocument } from './yaml-document.ts';

export interface Part {
  readonly origin: ConfigText;
  readonly document: YamlDocument;
}

export interface MergedDocument extends YamlDocument {
  readonly problems: readonly ConfigProblem[];
  /** Of what stands at `path`; undefined for what no file has. */
  originOf(path: Path): ConfigText | undefined;
}

interface Owner {
  readonly part: Part;
  /** Of the same thing in its own file. */
  readonly path: Path;
}

type Values = Record<string, unknown>;

/** Stands in every file. */
const REPEATED = new Set(['$schema', 'version']);

export function mergeDocuments(parts: readonly Part[]): MergedDocument {
  const problems: ConfigProblem[] = [];
  const whole: [string, Owner][] = [];
  const sources: [string, Owner][] = [];
  const outbound: Owner[] = [];
  const policyNames = new Map<string, Owner>();

  function taken(owner: Owner, what: string, before: Owner, atKey = true): void {
    const { line, column } = atKey
      ? before.part.document.placeOfKey(before.path)
      : before.part.document.placeOf(before.path);
    const place = `${before.part.origin.file}:${line}:${column}`;
    problems.push({
      ...problemAt(owner.part.document, owner.path, `${what} stands in ${place} already`, atKey),
      file: owner.part.origin.file,
    });
  }
  function addNamed(list: [string, Owner][], name: string, owner: Owner, what: string): void {
    const before = list.find(([known]) => known === name);
    if (before === undefined) list.push([name, owner]);
    else taken(owner, what, before[1]);
  }

  for (const part of parts) {
    if (!isObject(part.document.value)) continue;
    for (const [key, value] of Object.entries(part.document.value)) {
      if (REPEATED.has(key) && whole.some(([known]) => known === key)) continue;
      if (key === 'sources' && isObject(value)) {
        for (const name of Object.keys(value)) {
          addNamed(sources, name, { part, path: ['sources', name] }, `the source ${name}`);
        }
      } else if (key === 'outbound' && Array.isArray(value)) {
        value.forEach((policy: unknown, i) => {
          const owner = { part, path: ['outbound', i] };
          outbound.push(owner);
          const name = isObject(policy) ? policy['name'] : undefined;
          if (typeof name !== 'string') return;
          const before = policyNames.get(name);
          const place = { part, path: ['outbound', i, 'name'] };
          if (before === undefined) policyNames.set(name, place);
          // Within one file it is references.ts that tells.
          else if (before.part !== part) taken(place, `the policy ${name}`, before, false);
        });
      } else addNamed(whole, key, { part, path: [key] }, `${key}, which belongs into one file,`);
    }
  }

  /** Where `path` of the whole stands: file, and path in it. */
  function find(path: Path): Owner | undefined {
    const [key, name, ...rest] = path;
    const inOutbound = typeof name === 'number' ? outbound[name] : undefined;
    if (key === 'outbound' && inOutbound !== undefined)
      return { part: inOutbound.part, path: [...inOutbound.path, ...rest] };
    const named = key === 'sources' ? sources.find(([known]) => known === name)?.[1] : undefined;
    const owner = named ?? whole.find(([known]) => known === key)?.[1];
    return owner && { part: owner.part, path };
  }
  const place = (path: Path, atKey: boolean) => {
    const owner = find(path) ?? { part: parts[0]!, path };
    const { document, origin } = owner.part;
    return {
      ...(atKey ? document.placeOfKey(owner.path) : document.placeOf(owner.path)),
      file: origin.file,
      path: owner.path,
    };
  };

  return {
    problems,
    value: Object.fromEntries([
      ...whole.map(([key, { part }]) => [key, (part.document.value as Values)[key]]),
      ...(sources.length > 0 && !whole.some(([key]) => key === 'sources')
        ? [['sources', Object.fromEntries(sources.map(([name, owner]) => [name, valueAt(owner)]))]]
        : []),
      ...(outbound.length > 0 && !whole.some(([key]) => key === 'outbound')
        ? [['outbound', outbound.map(valueAt)]]
        : []),
    ]),
    placeOf: (path) => place(path, false),
    placeOfKey: (path) => place(path, true),
    originOf: (path) => find(path)?.part.origin,
  };
}

function valueAt({ part, path }: Owner): unknown {
  return path.reduce<unknown>((at, step) => (at as Record<PropertyKey, unknown>)[step], part.document.value);
}

function isObject(value: unknown): value is Values {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
