// Metrics of the inbound side: who was let in, who was not and why, and how old what decides it is.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../../lib/clock.ts';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  'acceptanceCount' | 'inboundRefused' | 'inputLoaded' | 'inputCurrent' | 'inputRefused'
>;

export function createInboundMetrics(registers: Registry[], clock: Clock): Events {
  const accepted = new Map<string, { count: number }>();
  const inputTimes = new Map<string, number>();
  new Counter({
    name: 'bearerd_inbound_accepted_total',
    help: 'Incoming requests let in, by policy.',
    labelNames: ['policy'],
    registers,
    collect() {
      this.reset();
      for (const [policy, { count }] of accepted) this.inc({ policy }, count);
    },
  });
  const refusedInbound = new Counter({
    name: 'bearerd_inbound_refused_total',
    help: 'Incoming requests refused, by policy and reason. policy is empty where none matched.',
    labelNames: ['policy', 'reason'],
    registers,
  });
  const shadowed = new Counter({
    name: 'bearerd_inbound_shadow_refused_total',
    help: 'Incoming requests that policies in shadow would have refused, by policy and reason.',
    labelNames: ['policy', 'reason'],
    registers,
  });
  const inputEntries = new Gauge({
    name: 'bearerd_input_entries',
    help: 'Entries of a key set, list or table of the inbound side; files of the policy bundle.',
    labelNames: ['input'],
    registers,
  });
  const inputsRefused = new Counter({
    name: 'bearerd_inputs_refused_total',
    help: 'Times that a key set, list or table, or the policy bundle, could not be taken over.',
    labelNames: ['input'],
    registers,
  });
  new Gauge({
    name: 'bearerd_input_age_seconds',
    help: 'Seconds since a key set, list or table, or the policy bundle, was last known to be current.',
    labelNames: ['input'],
    registers,
    collect() {
      for (const [input, at] of inputTimes) this.set({ input }, (clock.monotonic() - at) / 1000);
    },
  });
  return {
    acceptanceCount(policy) {
      const counter = accepted.get(policy) ?? { count: 0 };
      accepted.set(policy, counter);
      return counter;
    },
    inboundRefused(policy, reason, _decision, mode) {
      (mode === 'shadow' ? shadowed : refusedInbound).inc({ policy: policy ?? '', reason });
    },
    inputLoaded(input, entries) {
      inputEntries.set({ input }, entries);
      inputTimes.set(input, clock.monotonic());
    },
    inputCurrent(input) {
      inputTimes.set(input, clock.monotonic());
    },
    inputRefused(input) {
      inputsRefused.inc({ input });
    },
  };
}
