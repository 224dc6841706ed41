// Names by which one part of the file refers to another. Looked up in what was read, before the shape is judged: a fault
// elsewhere hides none of them.
import type { ConfigProblem } from '../lib/errors.ts';
import type { MergedDocument } from './merged-document.ts';
import { problemAt } from './problems.ts';
import { unknownSource } from './unknown-source.ts';
import type { Path } from './yaml-document.ts';

/** What is no text is the shape's to tell. */
export function referenceProblems(document: MergedDocument): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const report = (path: Path, message: string) => problems.push(problemAt(document, path, message));
  const { listen, sources, outbound } = keysOf(document.value);
  const known = new Set(Object.keys(keysOf(sources)));
  const refer = (path: Path, name: unknown): void => {
    if (typeof name === 'string' && name !== '' && !known.has(name))
      report(path, unknownSource(name, [...known]));
  };

  [keysOf(listen)['xds']].flat().forEach((entry, i) => {
    listOf(keysOf(entry)['sources']).forEach((name, j) => {
      refer(['listen', 'xds', i, 'sources', j], name);
    });
  });
  for (const name of known) refer(['sources', name, 'fallback'], keysOf(keysOf(sources)[name])['fallback']);
  const first = new Map<string, number>();
  listOf(outbound).forEach((policy, i) => {
    const { name, inject } = keysOf(policy);
    refer(['outbound', i, 'inject', 'source'], keysOf(inject)['source']);
    if (typeof name !== 'string') return;
    const before = first.get(name);
    if (before === undefined) first.set(name, i);
    // In two files it is told with both places.
    else if (document.originOf(['outbound', before]) === document.originOf(['outbound', i]))
      report(['outbound', i, 'name'], `the name ${name} is taken by outbound[${before}] already`);
  });
  return problems;
}

function keysOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
