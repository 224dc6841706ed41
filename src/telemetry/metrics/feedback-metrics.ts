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
    refusalSeen(door, source, verdict) {
      refusals.inc({ door, source, verdict });
    },
    refreshForced(source, outcome) {
      forced.inc({ source, outcome });
    },
    feedbackLate(policy) {
      late.inc({ policy });
    },
  };
}
