// What the attempt door cannot serve, and why.
import type { Config, OutboundConfig } from '../../config/config.ts';

/** Reasons against the attempt door, each with the way out; empty = it can serve these policies. */
export function attemptRefusals(
  config: Config,
  outbound: readonly OutboundConfig[] = config.outbound,
): readonly string[] {
  if (config.listen.check === undefined) {
    return ['listen.check is missing: the attempt door is asked there, too'];
  }
  if (config.listen.check.front === 'node') {
    return ['listen.check.front: node cannot serve the attempt door; use raw, the default'];
  }
  return outbound
    .filter(({ inject }) => inject.query !== undefined)
    .map(
      ({ name }) =>
        `outbound.${name}.inject.query cannot be served by attempt: the path was signed, logged and routed before; use the check door`,
    );
}
