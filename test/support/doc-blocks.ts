// The fenced blocks of every document that a reader may copy from.
import { globSync, readFileSync } from 'node:fs';

export const DOCUMENTS: readonly string[] = globSync(
  '{*.md,{bench,demo,docs,envoy,examples,k8s,monitoring,proto,tools}/**/*.md}',
).sort();

export interface DocBlock {
  readonly document: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  /** The headings above it, from `##` down: "The attempt door > Proofs"; the title where there is none. */
  readonly heading: string;
  /** `DOCUMENT#HEADING WHAT`: the lowest heading, and the name or else the language; a second one ends in `/2`. */
  readonly key: string;
  readonly language: string;
  /** What follows the language: a file name, or the name of an example. */
  readonly name: string;
  readonly text: string;
}

export function docBlocks(documents: readonly string[] = DOCUMENTS): readonly DocBlock[] {
  return documents.flatMap(blocksOf);
}

/** Blocks below a heading `## section`, also those below its subsections. Throws when there is none. */
export function blocksBelow(document: string, section: string): readonly DocBlock[] {
  const blocks = blocksOf(document).filter(({ heading }) => heading.split(' > ')[0] === section);
  if (blocks.length === 0) throw new Error(`${document} has no block below "## ${section}"`);
  return blocks;
}

function blocksOf(document: string): readonly DocBlock[] {
  const blocks: DocBlock[] = [];
  const headings: string[] = [];
  const counts = new Map<string, number>();
  const lines = readFileSync(document, 'utf8').split('\n');
  for (let i = 0; i < lines.length; i++) {
    const heading = /^(#+) (.*)$/.exec(lines[i]!);
    if (heading) headings.splice(heading[1]!.length - 1, headings.length, heading[2]!);
    const fence = /^( *)(`{3,}|~{3,})(\S*) ?(.*)$/.exec(lines[i]!);
    if (!fence) continue;
    const line = i + 1;
    const [, indent, marks, language, name] = fence;
    const end = lines.findIndex((text, at) => at > i && text.trim() === marks);
    if (end === -1) throw new Error(`${document}:${line}: the block has no end`);
    const below = `${document}#${headings.at(-1)} ${name || language}`;
    const nth = (counts.get(below) ?? 0) + 1;
    counts.set(below, nth);
    blocks.push({
      document,
      line,
      heading: headings.slice(headings.length > 1 ? 1 : 0).join(' > '),
      key: nth === 1 ? below : `${below}/${nth}`,
      language: language!,
      name: name!,
      text: lines
        .slice(i + 1, end)
        .map((text) => `${text.slice(indent!.length)}\n`)
        .join(''),
    });
    i = end;
  }
  return blocks;
}
