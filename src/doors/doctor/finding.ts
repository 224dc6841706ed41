// One thing that doctor tells, with its way out.

export interface Finding {
  /** error: requests fail or a credential is in danger. warning: something is lost when it matters. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
  readonly fix: string;
}

export const GENERATE = 'apply what "bearerd generate" writes for this configuration';
