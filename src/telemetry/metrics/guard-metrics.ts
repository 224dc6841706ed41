// Metrics of the guard of rollouts.
import { Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

export function createGuardMetrics(registers: Registry[]): Pick<Observer, 'guardChanged'> {
  const alarms = new Gauge({
    name: 'bearerd_guard_alarm',
    help: '1 = a version of a policy made requests fail: stepped_back, withdrawn, or nothing_to_step_back_to, where it stays in force.',
    labelNames: ['policy', 'outcome'],
    registers,
  });
  return {
    guardChanged(policy, outcome) {
      for (const one of ['stepped_back', 'withdrawn', 'nothing_to_step_back_to'] as const) {
        alarms.remove({ policy, outcome: one });
      }
      if (outcome !== undefined) alarms.set({ policy, outcome }, 1);
    },
  };
}
