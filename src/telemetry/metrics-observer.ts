// Turns events into Prometheus metrics: one registry, filled by one file a noun (metrics/).
import { Registry } from 'prom-client';
import type { Clock } from '../lib/clock.ts';
import { createApiKeyMetrics } from './metrics/api-key-metrics.ts';
import { createAuditMetrics } from './metrics/audit-metrics.ts';
import { createBundleMetrics } from './metrics/bundle-metrics.ts';
import { createCredentialMetrics } from './metrics/credential-metrics.ts';
import { createDecisionMetrics, type DecisionMetrics } from './metrics/decision-metrics.ts';
import { createEndpointMetrics } from './metrics/endpoint-metrics.ts';
import { expose } from './metrics/exposition.ts';
import { createFeedbackMetrics } from './metrics/feedback-metrics.ts';
import { createGuardMetrics } from './metrics/guard-metrics.ts';
import { createInboundMetrics } from './metrics/inbound-metrics.ts';
import { createProcessMetrics } from './metrics/process-metrics.ts';
import { createPushMetrics } from './metrics/push-metrics.ts';
import { createRequestMetrics } from './metrics/request-metrics.ts';
import { createSharedCacheMetrics } from './metrics/shared-cache-metrics.ts';
import { createUseMetrics } from './metrics/use-metrics.ts';
import { nullObserver, type Observer } from './observer.ts';
import { createTeeObserver } from './tee-observer.ts';

export type { DecisionTotal } from './metrics/decision-metrics.ts';

export interface Metrics {
  readonly observer: Observer;
  readonly requestsOf: DecisionMetrics['requestsOf'];
  readonly decisionsOf: DecisionMetrics['decisionsOf'];
  /** The text exposition. */
  render(): Promise<string>;
  /** Every metric, also those without a sample yet. */
  list(): readonly MetricDescription[];
}

export interface MetricDescription {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
}

export function createMetrics(clock: Clock): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const { requestsOf, decisionsOf, ...decisions } = createDecisionMetrics(registers);
  const counted: Observer = {
    ...nullObserver,
    ...decisions,
    ...createCredentialMetrics(registers, clock),
    ...createApiKeyMetrics(registers, clock),
    ...createEndpointMetrics(registers),
    ...createFeedbackMetrics(registers),
    ...createRequestMetrics(registers),
    ...createGuardMetrics(registers),
    ...createPushMetrics(registers),
    ...createInboundMetrics(registers, clock),
    ...createSharedCacheMetrics(registers),
    ...createAuditMetrics(registers),
    ...createProcessMetrics(registers),
    ...createBundleMetrics(registers, clock),
  };
  const uses = createUseMetrics(registers, (policy) => requestsOf(policy).injected);
  const observer = createTeeObserver({ ...nullObserver, ...uses }, counted);

  function list(): readonly MetricDescription[] {
    // prom-client's types leave out labelNames, which each of its metrics has.
    const known = registry.getMetricsAsArray() as unknown as readonly (Omit<MetricDescription, 'labels'> & {
      readonly labelNames: readonly string[];
    })[];
    return known.map(({ name, type, help, labelNames }) => ({ name, type, help, labels: labelNames }));
  }

  return { observer, requestsOf, decisionsOf, render: () => expose(registry), list };
}
