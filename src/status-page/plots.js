// The few drawings: how much of a credential's life is left, and what happened in each minute of the last hour. Attributes
// only, no inline style; whatever is drawn is said in words beside it or in its label.

const SVG = 'http://www.w3.org/2000/svg';
const MINUTES = 60;
const HEIGHT = 24;

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

/** `left` and `mark` are shares of the whole life, 0 to 1; `mark` = when it is to be renewed, undefined = not. */
export function runway(left, mark, level) {
  const width = Math.max(0, Math.min(1, left)) * 100;
  const parts = [draw('rect', { class: 'track', width: 100, height: 6, y: 4, rx: 1 })];
  parts.push(draw('rect', { class: `fill-${level}`, width, height: 6, y: 4, rx: 1 }));
  if (mark !== undefined) {
    const x = Math.max(0, Math.min(1, mark)) * 100;
    parts.push(
      draw('line', { class: 'mark', x1: x, x2: x, y1: 0, y2: 14, 'vector-effect': 'non-scaling-stroke' }),
    );
  }
  return draw(
    'svg',
    { class: 'runway', viewBox: '0 0 100 14', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...parts,
  );
}

/**
 * A column a minute, the present on the right. `kinds` are stacked from below: [name, level, word]. `strip` is a line
 * beneath, coloured by `strip(minute)`: a level, or undefined. The label says the sums.
 */
export function lastHour(minutes, kinds, strip) {
  const highest = Math.max(3, ...minutes.map((minute) => sumOf(minute, kinds)));
  const parts = [];
  for (const minute of minutes) {
    const x = (MINUTES - 1 - minute.minutesAgo) * 3;
    let top = HEIGHT;
    for (const [name, level] of kinds) {
      if (!minute[name]) continue;
      const height = Math.max(2, (minute[name] / highest) * HEIGHT);
      top -= height;
      parts.push(draw('rect', { class: `fill-${level}`, x, y: Math.max(0, top), width: 2, height }));
    }
    const level = strip?.(minute);
    if (level !== undefined)
      parts.push(draw('rect', { class: `fill-${level}`, x, y: HEIGHT + 4, width: 3, height: 5 }));
  }
  parts.push(draw('line', { class: 'base', x1: 0, x2: MINUTES * 3, y1: HEIGHT + 1, y2: HEIGHT + 1 }));
  const told = kinds.map(([name, , word]) =>
    counted(
      minutes.reduce((sum, minute) => sum + (minute[name] ?? 0), 0),
      word,
    ),
  );
  const away = minutes.filter((minute) => strip?.(minute) !== undefined).length;
  if (strip !== undefined) told.push(`breaker open in ${away} min`);
  const label = told.join(', ');
  const svg = draw(
    'svg',
    { class: 'plot', viewBox: `0 0 ${MINUTES * 3} 34`, role: 'img', 'aria-label': `Last hour: ${label}` },
    ...parts,
  );
  return { svg, label };
}

const counted = (count, word) => `${count} ${count === 1 ? word.replace(/s$/, '') : word}`;
const sumOf = (minute, kinds) => kinds.reduce((sum, [name]) => sum + (minute[name] ?? 0), 0);
