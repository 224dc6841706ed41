// What a door brings to a decision: the request that it was asked about, its answers, and where they are counted.
import type { Credential } from '../../credential/credential.ts';
import type { Policy } from '../../policy/policy.ts';
import type { CheckDecision, CheckReason } from '../../telemetry/event-details.ts';
import type { Observer } from '../../telemetry/observer.ts';
import type { DenialReason } from '../denial.ts';

/** What a door knows of the request that it was asked about. */
export interface Asked {
  readonly method: string;
  /** As Envoy sends it: with its query. Used, never logged. */
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** Value of x-request-id; empty when there is none. */
  readonly requestId: string;
  /** Names of the policies that the route or cluster was made for; undefined when it carries no mark. */
  readonly mark: string | undefined;
  /** Monotonic ms; undefined: nothing was waited for. Set by whoever waits, and told with the decision. */
  waitingSince: number | undefined;
  /** One of PolicyTable.readHeaders; repeated ones joined with commas; undefined: there is none. */
  header(name: string): string | undefined;
}

/** The answers of one door, encoded. */
export interface Answers {
  /** Nothing of the request is touched. */
  readonly passUntouched: Uint8Array;
  /** The app's own header is removed: on_failure: pass sends the request without any credential. */
  passWithout(policy: Policy): Uint8Array;
  /** The credential in the policy's headers instead of whatever was there. */
  injection(policy: Policy, credential: Credential): Uint8Array;
  /** The same with proofs of this one request. Throws CredentialError where there can be none. */
  proven(policy: Policy, credential: Credential, request: Asked): Uint8Array;
  /** `status` in place of the reason's own. */
  denial(reason: DenialReason, retryAfterMs: number, status?: number): Uint8Array;
}

/** Where a door's decisions are counted. */
export interface Tally {
  injectionCount(policy: string, source: string): { count: number };
  /** `waitedMs`: undefined = it was there at once. */
  decided(policy: string | undefined, decision: CheckDecision, reason: CheckReason, waitedMs?: number): void;
  denied: Observer['outboundDenied'];
}
