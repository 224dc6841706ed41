// What is no YAML, in words that say what to change. Messages never quote the file: what stands at a broken place may be a secret.
import { type Document, isAlias, isScalar, visit, type YAMLError } from 'yaml';

export interface YamlFault {
  /** Where in the text. */
  readonly offset: number;
  readonly message: string;
}

type Code = YAMLError['code'];

const UNQUOTED_STAR = 'a value that starts with * must be in quotes, e.g. "*.example.com"';

const MESSAGES: Partial<Record<Code, string>> = {
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
  UNEXPECTED_TOKEN: 'this does not belong here; a value with brackets, braces or commas must be in quotes',
};

/** Of one value or key: what stands behind it was read as it is meant. */
const LOCAL: readonly Code[] = [
  'BAD_ALIAS',
  'BAD_DQ_ESCAPE',
  'DUPLICATE_KEY',
  'NON_STRING_KEY',
  'TAG_RESOLVE_FAILED',
];

/** White space that looks like indentation, and is a part of the key to YAML. */
const ODD_INDENTATION = /(?<=^ *)[\u00a0\u1680\u2000-\u200d\u202f\u205f\u2060\u3000]/mu;

/** In the order of the text. Of faults of the layout the first alone: those behind it mostly follow from it. */
export function yamlFaults(document: Document.Parsed, text: string): readonly YamlFault[] {
  const odd = ODD_INDENTATION.exec(text);
  if (odd !== null) {
    const point = odd[0].codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0');
    return [{ offset: odd.index, message: `white space that is no plain space (U+${point})` }];
  }
  const aliases: { code: Code; offset: number; message: string }[] = [];
  visit(document, (_, node) => {
    // `hosts: [*.example.com]` is an alias to YAML.
    if (!isAlias(node) || node.resolve(document) !== undefined) return;
    aliases.push({ code: 'BAD_ALIAS', offset: node.range?.[0] ?? 0, message: UNQUOTED_STAR });
  });
  const found = [...document.errors, ...document.warnings].map((fault) => ({
    code: fault.code,
    ...faultOf(fault, document, text),
  }));
  const all = [...found, ...aliases].sort((a, b) => a.offset - b.offset);
  const first = all.findIndex(({ code }) => !LOCAL.includes(code));
  return all.filter(({ code }, i) => first === -1 || i <= first || code === 'TAB_AS_INDENT');
}

function faultOf(fault: YAMLError, document: Document.Parsed, text: string): YamlFault {
  const { code, pos } = fault;
  const [offset] = pos;
  if (text[offset] === '*') return { offset, message: UNQUOTED_STAR };
  const [start, end] = [text.lastIndexOf('\n', offset - 1) + 1, text.indexOf('\n', offset)];
  const rest = text.slice(offset, end === -1 ? undefined : end);
  const line = text.slice(start, offset) + rest;
  // Known by the library's words, which have no code of their own.
  const closing = /end with a ([\]}])$/.exec(fault.message)?.[1];
  if (closing !== undefined) return { offset, message: `a "${closing}" is missing before this place` };
  if (/closing ['"]quote/.test(fault.message)) {
    return { offset: quoteBefore(document, offset) ?? offset, message: 'this quote is not closed' };
  }
  if (code === 'BLOCK_AS_IMPLICIT_KEY' && !/:(\s|$)/.test(rest)) {
    return { offset, message: 'this key has a value, and the next line is indented as if it were below it' };
  }
  if (code === 'MULTILINE_IMPLICIT_KEY' && /^[\w.-]+:[^\s]/.test(rest)) {
    return { offset, message: 'a space is missing after ":"' };
  }
  if (code === 'UNEXPECTED_TOKEN' && line.includes('${')) {
    const message =
      'a value with "${" must be in quotes; of the environment nothing is filled in: use { env: NAME }';
    return { offset, message };
  }
  return { offset, message: MESSAGES[code] ?? 'this is not YAML' };
}

/** Where the quoted text begins that goes on to `offset`. */
function quoteBefore(document: Document.Parsed, offset: number): number | undefined {
  let found: number | undefined;
  visit(document, (_, node) => {
    if (!isScalar(node) || !/^QUOTE/.test(node.type ?? '') || !node.range) return;
    if (node.range[0] <= offset && node.range[1] >= offset - 1) found = node.range[0];
  });
  return found;
}
