// What people are told of the guard, the same in the log's detail, readiness, status and doctor.
import type { GuardAlarm } from '../../telemetry/event-details.ts';

export const NOTES: Readonly<Record<GuardAlarm, string>> = {
  stepped_back: 'was stepped back to its last good version',
  withdrawn: 'was withdrawn from its share',
  nothing_to_step_back_to: 'makes requests fail, and there is no version to step back to',
};

/** Prints what push would need, and nothing applies it. */
export const MANIFEST_COMMAND =
  '"bearerd generate istio --stepped-back" (or "generate envoy") prints the manifest';

export const BLIND = {
  noAdmin: 'its requests go by push, which only Envoy counts, and envoy_admin is missing',
  noStatistics: `Envoy keeps no statistics of its cluster, or several policies share the host (docs/rollout.md, "Push")`,
};
