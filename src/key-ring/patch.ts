// The difference of two texts with equally many lines as a unified diff, which patch and git apply take. Pure.
const CONTEXT = 3;

/** '' when nothing differs. `name` is the path in the patch, relative or absolute. */
export function unifiedPatch(name: string, before: string, after: string): string {
  const [old, now] = [linesOf(before), linesOf(after)];
  const changed = old.flatMap((line, i) => (line === now[i] ? [] : [i]));
  if (changed.length === 0) return '';
  const hunks: { from: number; to: number }[] = [];
  for (const i of changed) {
    const last = hunks.at(-1);
    const to = Math.min(old.length, i + CONTEXT + 1);
    if (last && i - CONTEXT <= last.to) last.to = to;
    else hunks.push({ from: Math.max(0, i - CONTEXT), to });
  }
  const text = hunks.map(({ from, to }) => {
    const range = `${from + 1},${to - from}`;
    const lines = old.slice(from, to).map((line, j) => {
      const next = now[from + j]!;
      return line === next ? ` ${line}` : `-${line}+${next}`;
    });
    return `@@ -${range} +${range} @@\n${lines.join('')}`;
  });
  const path = name.replace(/^\/+/, '');
  return `--- a/${path}\n+++ b/${path}\n${text.join('')}`;
}

/** Each with its line end; a last one without gets the mark that patch knows. */
function linesOf(text: string): string[] {
  const lines = text.split(/(?<=\n)/);
  return lines.map((line) => (line.endsWith('\n') ? line : `${line}\n\\ No newline at end of file\n`));
}
