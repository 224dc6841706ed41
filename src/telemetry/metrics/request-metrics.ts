// Metrics of requests as Envoy's access log tells them (access_log: full): rate, errors, duration, and the upstream's limits.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<Observer, 'requestEnded' | 'rateLimitSeen'>;

export function createRequestMetrics(registers: Registry[]): Events {
  const requests = new Counter({
    name: 'bearerd_requests_total',
    help: 'Requests that ended in Envoy, by how; with access_log: full. policy is empty where none matched.',
    labelNames: ['policy', 'door', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'bearerd_request_duration_seconds',
    help: 'From the first byte of a request to the last one of its response, as Envoy tells; with access_log: full.',
    labelNames: ['policy', 'door'],
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const limits = new Gauge({
    name: 'bearerd_rate_limit',
    help: 'Requests that an upstream grants, by its last header (x-ratelimit-limit, ratelimit-limit); with access_log: full.',
    labelNames: ['policy'],
    registers,
  });
  const remaining = new Gauge({
    name: 'bearerd_rate_limit_remaining',
    help: 'Requests that an upstream still grants, by its last header (x-ratelimit-remaining, ratelimit-remaining); with access_log: full.',
    labelNames: ['policy'],
    registers,
  });
  return {
    requestEnded(policy = '', door = undefined, status, durationMs) {
      requests.inc({ policy, door: door ?? '', status });
      durations.observe({ policy, door: door ?? '' }, durationMs / 1000);
    },
    rateLimitSeen(policy, limit, left) {
      if (limit !== undefined) limits.set({ policy }, limit);
      if (left !== undefined) remaining.set({ policy }, left);
    },
  };
}
