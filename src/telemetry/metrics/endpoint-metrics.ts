// Metrics of token endpoints: calls that were sent and that were not, the breaker, and the provider's clock.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<Observer, 'endpointCalled' | 'endpointRefused' | 'breakerChanged' | 'clockSkewSeen'>;

export function createEndpointMetrics(registers: Registry[]): Events {
  const calls = new Counter({
    name: 'bearerd_endpoint_calls_total',
    help: 'Calls to a token endpoint, by whom they are for; probes are sent alone while its breaker is open.',
    labelNames: ['endpoint', 'kind'],
    registers,
  });
  const notCalled = new Counter({
    name: 'bearerd_endpoint_refused_total',
    help: 'Calls to a token endpoint that were not sent, by why.',
    labelNames: ['endpoint', 'why'],
    registers,
  });
  const breakers = new Gauge({
    name: 'bearerd_endpoint_breaker',
    help: 'Circuit breaker of a token endpoint: 0 closed, 1 half open, 2 open.',
    labelNames: ['endpoint'],
    registers,
  });
  const clockSkew = new Gauge({
    name: 'bearerd_clock_skew_seconds',
    help: 'How far our clock is ahead of a provider’s by its last answer; behind is negative.',
    labelNames: ['provider'],
    registers,
  });
  return {
    endpointCalled(endpoint, kind) {
      calls.inc({ endpoint, kind });
    },
    endpointRefused(endpoint, why) {
      notCalled.inc({ endpoint, why });
    },
    breakerChanged(endpoint, state) {
      breakers.set({ endpoint }, { closed: 0, half_open: 1, open: 2 }[state]);
    },
    clockSkewSeen(provider, skewMs) {
      clockSkew.set({ provider }, skewMs / 1000);
    },
  };
}
