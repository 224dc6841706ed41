// The file as text: YAML (and so JSON) to plain values, and from a path inside it back to line and column.
// Messages never quote the file: what stands at a broken place may be a secret.
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  Parser,
  YAMLParseError,
} from 'yaml';
import { ConfigError, type ConfigProblem } from '../lib/errors.ts';
import { yamlFaults } from './yaml-faults.ts';

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

/**
 * As parseDocument() of the library, up to the first text outside of the document: a log in the place of a configuration has
 * one at every word, each an Error. With their stacks 4 MB of it took 11 s and 700 MB, which ended a process that serves
 * (bin/bearerd.js gives it 256).
 */
function composed(text: string, lines: LineCounter): Document.Parsed {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    const composer = new Composer({ uniqueKeys: true, stringKeys: true, merge: false, version: '1.2' });
    const tokens = untilFault(new Parser(lines.addNewLine).parse(text));
    const [document, second] = composer.compose(tokens, true, text.length);
    if (second !== undefined) {
      const [from, to] = second.range;
      document!.errors.push(new YAMLParseError([from, to], 'MULTIPLE_DOCS', 'a second document'));
    }
    return document as Document.Parsed;
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function* untilFault(tokens: Iterable<CST.Token>): Iterable<CST.Token> {
  for (const token of tokens) {
    yield token;
    if (token.type === 'error') return;
  }
}

/** Throws ConfigError with every syntax problem. */
export function parseYaml(text: string, file: string): YamlDocument {
  if (text.includes('\0')) {
    const message = 'the file has NUL characters: expected text in UTF-8 (was it saved as UTF-16?)';
    throw new ConfigError(file, [{ path: '', line: 1, column: 1, message }]);
  }
  const lines = new LineCounter();
  const document = composed(text, lines);
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problem = (offset: number, message: string): ConfigProblem => ({
    ...place(offset),
    path: '',
    message,
  });

  const faults = yamlFaults(document, text).map(({ offset, message }) => problem(offset, message));
  if (faults.length > 0) throw new ConfigError(file, faults);
  const root: Node | null = document.contents;
  if (root === null) throw new ConfigError(file, [problem(0, 'the file is empty')]);
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
