// Metrics of decisions, and what else asks how many there were.
import type { Registry } from 'prom-client';
import type { CheckDecision, CheckReason } from '../event-details.ts';
import type { Observer } from '../observer.ts';
import { createDecisionCounts, type DecisionCount } from './decision-counts.ts';

type Events = Pick<Observer, 'injectionCount' | 'checkDecided' | 'attemptInjectionCount' | 'attemptDecided'>;

/** Of one policy, through the check and the attempt door. */
export interface RequestCounts {
  readonly injected: number;
  /** For which it is in force: with its credential, or without one for want of it. */
  readonly enforced: number;
  /** Of these, for want of it. */
  readonly missing: number;
  /** Left as they were: shadow, or not in the share. */
  readonly withheld: number;
}

/** Answers of one kind so far. */
export interface DecisionTotal {
  readonly door: 'check' | 'attempt';
  readonly decision: CheckDecision;
  readonly reason: CheckReason;
  readonly count: number;
}

export interface DecisionMetrics extends Events {
  requestsOf(policy: string): RequestCounts;
  /** `policy` is empty for requests that none matched. */
  decisionsOf(policy: string): readonly DecisionTotal[];
}

/** Whatever is wrong with the request itself is not among them. */
const MISSING: ReadonlySet<CheckReason> = new Set([
  'source_timeout',
  'source_unavailable',
  'source_rejected',
  'source_invalid_response',
  'secret_unreadable',
  'store_unavailable',
  'login_required',
  'credential_pending',
  'credential_expired',
  'proof_unavailable',
  'passed_without',
] satisfies CheckReason[]);

export function createDecisionMetrics(registers: Registry[]): DecisionMetrics {
  const checks = createDecisionCounts(registers, 'check');
  const attempts = createDecisionCounts(registers, 'attempt');
  return {
    injectionCount: (policy) => checks.count(policy, 'inject', 'injected'),
    checkDecided: checks.decided,
    attemptInjectionCount: (policy) => attempts.count(policy, 'inject', 'injected'),
    attemptDecided: attempts.decided,
    requestsOf(policy) {
      const sum = { injected: 0, missing: 0, withheld: 0 };
      for (const { reason, count } of [...checks.of(policy), ...attempts.of(policy)]) {
        const missing = MISSING.has(reason);
        if (reason === 'injected') sum.injected += count;
        if (missing) sum.missing += count;
        if (reason === 'shadow' || reason === 'not_in_percent') sum.withheld += count;
      }
      return { ...sum, enforced: sum.injected + sum.missing };
    },
    decisionsOf: (policy) => [
      ...totals('check', checks.of(policy)),
      ...totals('attempt', attempts.of(policy)),
    ],
  };
}

function totals(door: DecisionTotal['door'], counts: readonly DecisionCount[]): DecisionTotal[] {
  return counts.map(({ decision, reason, count }) => ({ door, decision, reason, count }));
}
