// Durations with their unit: `500ms`, `10s`, `5m`, `24h`. A bare number is refused, since nobody agrees on its unit.
import { refuse } from './invalid.ts';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

export interface DurationBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Milliseconds. Throws Invalid. */
export function parseDuration(text: string, { minMs, maxMs }: DurationBounds): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text);
  if (!match) {
    refuse(
      /^\d+(\.\d+)?$/.test(text)
        ? `a duration needs its unit: "${text}s" for seconds, "${text}ms" for milliseconds`
        : `expected a duration such as 500ms, 10s, 5m or 24h, got "${text}"`,
    );
  }
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  if (ms < minMs || ms > maxMs) {
    refuse(`expected a duration from ${durationSetting(minMs)} to ${durationSetting(maxMs)}, got "${text}"`);
  }
  return ms;
}

/** The shortest text that parses to the same, e.g. 3000 → `3s`. */
export function durationSetting(ms: number): string {
  for (const unit of ['h', 'm', 's'] as const) {
    if (ms >= UNITS[unit] && ms % UNITS[unit] === 0) return `${ms / UNITS[unit]}${unit}`;
  }
  return `${ms}ms`;
}
