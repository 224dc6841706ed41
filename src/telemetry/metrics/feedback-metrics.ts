// Metrics of healing: what Envoy told of refused attempts, and what was renewed for it.
import { Counter, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<Observer, 'refusalSeen' | 'refreshForced' | 'feedbackLate'>;

export function createFeedbackMetrics(registers: Registry[]): Events {
  const refusals = new Counter({
    name: 'bearerd_refusals_total',
    help: 'Refused attempts told by Envoy, by what they were taken for.',
    labelNames: ['door', 'source', 'verdict'],
    registers,
  });
  const inTrailers = new Counter({
    name: 'bearerd_refusals_in_trailers_total',
    help: 'Refused attempts that count and whose gRPC status came in trailers, when Envoy sends nothing again: the next request is healed.',
    labelNames: ['door', 'source'],
    registers,
  });
  const forced = new Counter({
    name: 'bearerd_forced_refreshes_total',
    help: 'Demands to renew before time, by outcome.',
    labelNames: ['source', 'outcome'],
    registers,
  });
  const late = new Counter({
    name: 'bearerd_feedback_late_total',
    help: 'Second and later attempts for which Envoy had not told in time why the one before failed.',
    labelNames: ['policy'],
    registers,
  });
  return {
    refusalSeen(door, source, verdict, refused) {
      refusals.inc({ door, source, verdict });
      if (refused?.inTrailers) inTrailers.inc({ door, source });
    },
    refreshForced(source, outcome) {
      forced.inc({ source, outcome });
    },
    feedbackLate(policy) {
      late.inc({ policy });
    },
  };
}
