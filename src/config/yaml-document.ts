// The file as text: YAML (and so JSON) to plain values, and from a path inside it back to line and column.
// Messages never quote the file: what stands at a broken place may be a secret.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import { ConfigError, type ConfigProblem } from '../lib/errors.ts';

export type Path = readonly PropertyKey[];

export interface Place {
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** Of several: which, and the path inside it. */
  readonly file?: string;
  readonly path?: Path;
}

export interface YamlDocument {
  readonly value: unknown;
  /** Of the value at `path`, or of the nearest one around it. */
  placeOf(path: Path): Place;
  /** Of the key itself. */
  placeOfKey(path: Path): Place;
}

// A file that needs more is an attempt to make a small file huge.
const MAX_ALIASES = 100;

/** Throws ConfigError with every syntax problem. */
export function parseYaml(text: string, file: string): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    // Its messages would print the line.
    prettyErrors: false,
    uniqueKeys: true,
    stringKeys: true,
    merge: false,
    version: '1.2',
  });
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problem = (offset: number, message: string): ConfigProblem => ({
    ...place(offset),
    path: '',
    message,
  });

  const faults = [...document.errors, ...document.warnings].map((fault) =>
    problem(fault.pos[0], messageOf(fault, text)),
  );
  visit(document, {
    Alias(_, node) {
      // `hosts: [*.example.com]` is an alias to YAML.
      if (node.resolve(document) === undefined) faults.push(problem(node.range?.[0] ?? 0, UNQUOTED_STAR));
    },
  });
  if (faults.length > 0) throw new ConfigError(file, faults);
  const root: Node | null = document.contents;
  if (root === null)
    throw new ConfigError(file, [problem(0, 'the file is empty: expected version: 1 and more')]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    throw new ConfigError(file, [
      problem(0, `aliases cannot be resolved, or there are more than ${MAX_ALIASES} of them`),
    ]);
  }

  /** The node at the path, or the nearest one around it, and the key it stands under. */
  function find(path: Path): { node: Node; key: Node | undefined; whole: boolean } {
    let node: Node = root!;
    let key: Node | undefined;
    for (const step of path) {
      if (isAlias(node)) node = node.resolve(document) ?? node;
      if (isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && item.key.value === step);
        if (pair === undefined) return { node, key, whole: false };
        key = pair.key as Node;
        node = (pair.value as Node | null) ?? key;
      } else if (isSeq(node) && typeof step === 'number' && node.items[step] !== undefined) {
        node = node.items[step] as Node;
        key = undefined;
      } else {
        return { node, key, whole: false };
      }
    }
    return { node, key, whole: true };
  }
  const start = (node: Node) => place(node.range?.[0] ?? 0);

  return {
    value,
    placeOf(path) {
      const { node, key, whole } = find(path);
      return start(whole ? node : (key ?? node));
    },
    placeOfKey(path) {
      const { node, key } = find(path);
      return start(key ?? node);
    },
  };
}

const UNQUOTED_STAR = 'a value that starts with * must be in quotes, e.g. "*.example.com"';

function messageOf(fault: YAMLError, text: string): string {
  if (text[fault.pos[0]] === '*') return UNQUOTED_STAR;
  return MESSAGES[fault.code] ?? 'this is not YAML';
}

const MESSAGES: Partial<Record<YAMLError['code'], string>> = {
  BAD_ALIAS: 'an alias (*name) without its anchor (&name)',
  BAD_DQ_ESCAPE: 'an escape that YAML does not know; write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: 'the indentation does not fit the lines above',
  BAD_SCALAR_START: 'a value cannot start with this character; put it in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'two keys on one line, or a value with ": " in it that must be in quotes',
  DUPLICATE_KEY: 'this key stands here a second time; each key only once',
  MISSING_CHAR: 'a closing quote, bracket, comma or a ":" is missing',
  MULTILINE_IMPLICIT_KEY: 'a ":" is missing here, or a line lacks its indentation',
  MULTIPLE_DOCS: 'a second document (---); expected only one',
  NON_STRING_KEY: 'a key must be a plain string',
  TAB_AS_INDENT: 'a tab used for indentation; use spaces',
  TAG_RESOLVE_FAILED: 'a tag (!name); expected plain values only',
};
