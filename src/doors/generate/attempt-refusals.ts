// What the attempt door cannot serve, and why.
import type { Config } from '../../config/config.ts';

/** Reasons against the attempt door, each with the way out; empty = it can serve every policy. */
export function attemptRefusals(config: Config): readonly string[] {
  if (config.listen.check === undefined) {
    return ['listen.check is missing: the attempt door is asked there, too'];
  }
  if (config.listen.check.front === 'node') {
    return ['listen.check.front: node cannot serve the attempt door; use raw, the default'];
  }
  return [];
}
