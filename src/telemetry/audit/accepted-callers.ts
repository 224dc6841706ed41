// Who was let in by which inbound policy, and how often: one record a caller a minute, whatever the number of its requests.
import type { CallerCount } from '../event-details.ts';
import type { AuditLog } from './audit-log.ts';

/** Of one policy a minute; whoever comes then is one of the others. */
const MAX_CALLERS = 1_000;
/** Of all policies a minute: half of what the log keeps while its sink is away. */
const MAX_RECORDS = 5_000;
const MAX_NAME = 256;

interface Counted extends CallerCount {
  ended: boolean;
  readonly issuer?: string | undefined;
  readonly caller?: string | undefined;
  readonly others?: true;
}

export interface AcceptedCallers {
  /** As Observer.callerCount. */
  of(policy: string, issuer: string | undefined, caller: string): CallerCount;
  /** Writes what was added up since, and ends those counts. */
  write(): void;
}

export function createAcceptedCallers(log: Pick<AuditLog, 'record'>): AcceptedCallers {
  const policies = new Map<string, Map<string, Counted>>();
  let size = 0;

  return {
    of(policy, issuer, caller) {
      const counts = policies.get(policy) ?? new Map<string, Counted>();
      policies.set(policy, counts);
      // No name of an issuer has a space.
      const key = `${issuer ?? ''} ${caller}`;
      const known = counts.get(key);
      if (known !== undefined) return known;
      const isFull = counts.size >= MAX_CALLERS || size >= MAX_RECORDS;
      const others = isFull ? counts.get('') : undefined;
      if (others !== undefined) return others;
      const counted: Counted = isFull
        ? { count: 0, ended: false, others: true }
        : { count: 0, ended: false, issuer, caller: caller === '' ? undefined : caller.slice(0, MAX_NAME) };
      counts.set(isFull ? '' : key, counted);
      size++;
      return counted;
    },
    write() {
      for (const [policy, counts] of policies) {
        for (const counted of counts.values()) {
          counted.ended = true;
          const { issuer, caller, others, count } = counted;
          log.record('inbound_accepted', { policy, issuer, caller, others, count });
        }
      }
      policies.clear();
      size = 0;
    },
  };
}
