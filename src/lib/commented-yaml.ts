// YAML with the reasons beside the settings: a commented value becomes a node with its comment above it.
import { Document, isScalar, type Node, type Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { escaped, printable } from './printable.ts';

/** A value whose comment says why it is there. Lines are split at newlines. */
export class Commented {
  readonly comment: string;
  readonly value: unknown;

  constructor(comment: string, value: unknown) {
    this.comment = comment;
    this.value = value;
  }
}

/** `value` with `comment` above it. */
export function because(comment: string, value: unknown): Commented {
  return new Commented(comment, value);
}

/** Keys in the order given, undefined left out, no anchors, no line folding: the same input gives the same text. */
export function toYaml(value: unknown, heading?: string): string {
  const document = new Document();
  document.contents = node(document, value) as Node as typeof document.contents;
  if (heading !== undefined) document.commentBefore = comment(heading);
  // The library leaves them as they are; YAML 1.2 (section 5.1) and terminals do not.
  return escaped(document.toString({ lineWidth: 0, aliasDuplicateObjects: false } as object));
}

/** The same value without comments, for a reader that wants the data. */
export function plain(value: unknown): unknown {
  if (value instanceof Commented) return plain(value.value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries.map(([k, v]) => [k, plain(v)]));
}

function node(document: Document, value: unknown): unknown {
  if (value instanceof Commented) {
    const inner = node(document, value.value) as Node;
    inner.commentBefore = comment(value.comment);
    return inner;
  }
  if (Array.isArray(value)) {
    const seq = new YAMLSeq();
    seq.items = value.map((item) => node(document, item)) as typeof seq.items;
    if (seq.items.length === 0) seq.flow = true;
    return seq;
  }
  if (typeof value === 'string' && escaped(value) !== value) {
    const scalar = new Scalar(value);
    // Where an escape is one.
    scalar.type = Scalar.QUOTE_DOUBLE;
    return scalar;
  }
  if (typeof value !== 'object' || value === null) return document.createNode(value);
  const map = new YAMLMap();
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) map.items.push(pair(document, key, item));
  }
  if (map.items.length === 0) map.flow = true;
  return map;
}

/** A comment on a mapping's value belongs above its key, or YAML would put it between the two. */
function pair(document: Document, key: string, item: unknown): Pair {
  const made = document.createPair(node(document, key), null);
  const commented = item instanceof Commented;
  made.value = node(document, commented ? item.value : item) as Node;
  if (commented && isScalar(made.key)) made.key.commentBefore = comment(item.comment);
  return made;
}

function comment(text: string): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? '' : ` ${printable(line)}`))
    .join('\n');
}
