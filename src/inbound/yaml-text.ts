// The text of a file that is followed, YAML or JSON, to plain values. Where it is broken is told, and nothing of it quoted.
import { parse, YAMLParseError } from 'yaml';

/** Throws an Error for our own log. */
export function parseYamlText(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    const [start] = (error instanceof YAMLParseError && error.linePos) || [];
    throw new Error(start === undefined ? 'no YAML' : `no YAML at line ${start.line}, column ${start.col}`);
  }
}
