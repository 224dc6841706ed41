// Metrics of the audit trail: whether its sink takes records, and how many it never will.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Observer } from '../observer.ts';

export function createAuditMetrics(
  registers: Registry[],
): Pick<Observer, 'auditSinkChanged' | 'auditRecordLost'> {
  const failing = new Gauge({
    name: 'bearerd_audit_sink_failing',
    help: '1 while audit records cannot be written and wait, else 0.',
    registers,
  });
  const lost = new Counter({
    name: 'bearerd_audit_records_lost_total',
    help: 'Audit records that were dropped because the sink took none for too long.',
    registers,
  });
  return {
    auditSinkChanged: (state) => failing.set(state === 'failed' ? 1 : 0),
    auditRecordLost: () => lost.inc(),
  };
}
