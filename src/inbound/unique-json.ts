// JSON without doubled names: two parsers would disagree on which `sub` counts (RFC 7519 section 4, RFC 8725 section 2.4).

const MAX_DEPTH = 16;

/** undefined when it is no JSON, too deep, or an object in it has a name twice. */
export function parseUniqueJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return hasUniqueNames(text) ? value : undefined;
}

/** `text` is JSON already. */
function hasUniqueNames(text: string): boolean {
  // One set of names an open object; undefined for an open array.
  const open: (Set<string> | undefined)[] = [];
  let isName = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        isName = true;
        break;
      case 0x5b: // [
        open.push(undefined);
        isName = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        isName = false;
        break;
      case 0x2c: // ,
        isName = open.at(-1) !== undefined;
        break;
      case 0x22: {
        const start = i;
        for (i++; text.charCodeAt(i) !== 0x22; i++) if (text.charCodeAt(i) === 0x5c) i++;
        if (!isName) break;
        // Escapes spell the same name in many ways.
        const name = JSON.parse(text.slice(start, i + 1)) as string;
        const names = open.at(-1)!;
        if (names.has(name)) return false;
        names.add(name);
        isName = false;
        break;
      }
    }
    if (open.length > MAX_DEPTH) return false;
  }
  return true;
}
