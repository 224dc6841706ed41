// Durations and counts as people read them.

/** Two units at most: `3 d 4 h`, `4 m 10 s`. */
export function duration(ms) {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts = [];
  for (const [unit, length] of [
    ['d', 86400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ]) {
    const count = Math.floor(seconds / length);
    seconds -= count * length;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.length === 0 ? '0 s' : parts.slice(0, 2).join(' ');
}

export const ago = (ms) => `${duration(ms)} ago`;
export const clockTime = (epochMs) => new Date(epochMs).toLocaleTimeString('en-GB');
export const word = (text) => text.replaceAll('_', ' ');
export const many = (count) => count.toLocaleString('en');
