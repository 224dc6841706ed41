// JSON of others, RFC 8259, without what two parsers may read differently: a key that stands there twice, deep nesting.
const MAX_DEPTH = 32;

// A text, a bracket, or a comma or colon; numbers and words lie between.
const MARK = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

/** Why a text was refused; never quotes it. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault';
}

/** Throws JsonFault. */
export function parseStrictJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not the parser's message: it quotes the text.
    throw new JsonFault('not JSON');
  }
  refuseDuplicateKeys(text);
  return value;
}

/** `text` is JSON already, so that only the places of brackets and texts matter. */
function refuseDuplicateKeys(text: string): void {
  // One set an open object, undefined an open list.
  const open: (Set<string> | undefined)[] = [];
  let last = '';
  for (const [mark] of text.matchAll(MARK)) {
    if (mark === '{' || mark === '[') {
      if (open.push(mark === '{' ? new Set() : undefined) > MAX_DEPTH) {
        throw new JsonFault(`JSON nested deeper than ${MAX_DEPTH}`);
      }
    } else if (mark === '}' || mark === ']') open.pop();
    else if (mark === ':') {
      const keys = open.at(-1)!;
      // By its value: "a" and "\u0061" are one key.
      const key = JSON.parse(last) as string;
      if (keys.has(key)) throw new JsonFault('a key stands there twice');
      keys.add(key);
    }
    last = mark;
  }
}
