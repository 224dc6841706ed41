// Metrics of the process: its memory and event loop, its configuration, its listeners with their certificates and peers, and what should not happen.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

type Events = Pick<
  Observer,
  | 'configurationTaken'
  | 'configurationRefused'
  | 'ownersNamed'
  | 'peerFault'
  | 'certificateLoaded'
  | 'certificateRefused'
  | 'spansLost'
  | 'unexpected'
>;

/** How often the event loop is looked at; what is measured holds it too. */
const RESOLUTION_MS = 20;

export function createProcessMetrics(registers: Registry[]): Events {
  // It begins with the first scrape: who reads no metrics pays nothing.
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  new Gauge({
    name: 'bearerd_event_loop_delay_seconds',
    help: 'How late the event loop was for 99 % of the looks at it since the last scrape.',
    registers,
    collect() {
      delay.enable();
      const late = delay.count === 0 ? 0 : delay.percentile(99) / 1e9 - RESOLUTION_MS / 1e3;
      this.set(Math.max(0, late));
      delay.reset();
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, user and system.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  const configuration = new Gauge({
    name: 'bearerd_configuration_revision',
    help: 'Counts up with each configuration that took over, from 1 at the start.',
    registers,
  });
  const refusedConfigurations = new Counter({
    name: 'bearerd_configurations_refused_total',
    help: 'Configurations that were not taken over: the one before stays in force.',
    registers,
  });
  const sourceOwners = new Gauge({
    name: 'bearerd_source_owner',
    help: '1, for each source with an owner: who is called.',
    labelNames: ['source', 'owner'],
    registers,
  });
  const policyOwners = new Gauge({
    name: 'bearerd_policy_owner',
    help: '1, for each outbound policy with an owner: who is called.',
    labelNames: ['policy', 'owner'],
    registers,
  });
  const peerFaults = new Counter({
    name: 'bearerd_peer_faults_total',
    help: 'Limits or protocol rules that a peer broke, by listener.',
    labelNames: ['listener', 'fault'],
    registers,
  });
  const certificates = new Gauge({
    name: 'bearerd_certificate_not_after_seconds',
    help: 'End of the certificate that a listener serves with, epoch seconds.',
    labelNames: ['listener'],
    registers,
  });
  const refusedCertificates = new Counter({
    name: 'bearerd_certificates_refused_total',
    help: 'New certificate files that were not usable.',
    labelNames: ['listener'],
    registers,
  });
  const unexpected = new Counter({
    name: 'bearerd_unexpected_errors_total',
    help: 'Errors that should not happen.',
    labelNames: ['where'],
    registers,
  });
  const spansLost = new Counter({
    name: 'bearerd_spans_lost_total',
    help: 'Spans that the collector of tracing.otlp_endpoint did not take.',
    registers,
  });
  configuration.set(1);
  return {
    configurationTaken: (revision) => configuration.set(revision),
    configurationRefused: () => refusedConfigurations.inc(),
    ownersNamed(sources, policies) {
      sourceOwners.reset();
      policyOwners.reset();
      for (const [source, owner] of sources) sourceOwners.set({ source, owner }, 1);
      for (const [policy, owner] of policies) policyOwners.set({ policy, owner }, 1);
    },
    peerFault(listener, fault) {
      peerFaults.inc({ listener, fault });
    },
    certificateLoaded(listener, notAfter) {
      certificates.set({ listener }, notAfter / 1000);
    },
    certificateRefused(listener) {
      refusedCertificates.inc({ listener });
    },
    spansLost: (count) => spansLost.inc(count),
    unexpected(where) {
      unexpected.inc({ where });
    },
  };
}
