// What events carry beside names and numbers: closed sets, which are labels of metrics, and records. No token, no secret.
import type { CredentialErrorCode } from '../lib/errors.ts';

/** Why a Check was answered as it was. Closed: it is a metric label. */
export type CheckReason =
  | 'injected'
  | 'unmatched'
  | 'unmarked' // no policy mark, or a Host that the marked policy does not cover
  | 'ambiguous_path'
  | 'denied' // by a policy
  | 'plaintext_upstream' // the attempt goes out without TLS, and the policy does not allow it
  | 'unbound_upstream' // the attempt goes to a cluster of Istio for another host
  | 'rate_limited' // of the policy
  | 'passed_without' // on_failure: pass
  | 'shadow' // mode: shadow
  | 'not_in_percent' // mode: { percent }
  | 'malformed' // the CheckRequest itself
  | CredentialErrorCode;

export type CheckDecision = 'inject' | 'pass' | 'deny' | 'error';

/** Why a refusal seen in the access log counted or not. */
export type RefusalVerdict =
  | 'counted'
  | 'in_doubt' // the attempt may have carried another generation
  | 'not_ours' // authority, method or path is not the policy's
  | 'heal_off'
  | 'not_a_token_fault' // insufficient_scope, invalid_request, or heal_on: invalid_token without the challenge
  | 'malformed';

/** What became of a demand to renew before time. */
export type ForcedRefresh =
  | 'started' // a fetch began
  | 'joined' // one was under way already
  | 'stale' // the refused generation is not the current one any more
  | 'limited' // over the limits of forced refreshes
  | 'refused_for_good'; // three new ones in a row were refused: alarm, nothing until the next scheduled refresh

/** Whom a call to a token endpoint is for; a probe goes alone while its breaker is open. */
export type EndpointCallKind = 'background' | 'waiting' | 'probe';

/** Why a call to a token endpoint was not sent. */
export type EndpointRefusal =
  | 'breaker_open'
  | 'retry_after'
  | 'refresh_cap' // limits.refreshes_per_hour
  | 'queue_full'
  | 'past_deadline' // nobody waited for it any more when its turn came
  | 'abandoned'; // whoever asked gave up before its turn came

/** What a look into the shared cache found. */
export type SharedCacheRead =
  | 'hit'
  | 'miss'
  | 'not_opened' // foreign, damaged, or sealed with a key that we do not have
  | 'replayed' // older than what was there before
  | 'unavailable'; // no answer in time

/** Whether the shared cache serves, as it was found when it was last checked. */
export type SharedCacheState =
  | 'up'
  | 'restricted' // it answers, and refuses a part of what is asked: writes, or what the ACL does not grant
  | 'down'; // it cannot be reached, is left alone, or refuses all

/** Why a call to the shared cache gave nothing. */
export type SharedCacheFault =
  | 'timeout'
  | 'connection'
  | 'read_only' // a replica by now
  | 'refused'; // an error reply: a missing right, a foreign type

export type GuardAlarm =
  | 'stepped_back' // the good version is in force in its place
  | 'withdrawn' // a share, with no good version before it: it is in force for none
  | 'nothing_to_step_back_to'; // it stays in force

/** Versions by the first digits of their hashes; rates in percent of requests. */
export interface GuardDetail {
  readonly version: string;
  readonly good?: string | undefined;
  readonly enforced?: number | undefined;
  /** undefined: too few requests to compare with. */
  readonly withheld?: number | undefined;
  readonly requests?: number | undefined;
  /** Why the push door goes on as it is: what would have to change in Envoy's configuration. */
  readonly manifest?: string | undefined;
}

export type FeedbackDoor = 'push' | 'check' | 'attempt';

/** How a request ended for the app. Closed: it is a metric label. */
export type RequestStatus =
  | '1xx'
  | '2xx'
  | '3xx'
  | '4xx'
  | '5xx'
  | '401'
  | '403'
  | '429'
  | '503'
  | 'grpc_error' // HTTP 200 with another grpc-status than 0
  | 'none'; // reset before a response

/** What somebody should act on, of an API key that is switched on. */
export type KeyNotice =
  | 'expires_within_7_days'
  | 'expires_within_24_hours'
  | 'expired'
  | 'older_than_90_days'; // since its not_before

/** Of a key of a ring: never its value. Times in epoch ms. */
export interface KeyReport {
  readonly id: string;
  readonly notBefore: number;
  /** Infinity = never. */
  readonly expiresAt: number;
}

/** An outgoing request that a policy denies; for the audit trail alone. */
export interface DeniedRequest {
  readonly method: string;
  readonly host: string;
  /** Without its query. */
  readonly path: string;
  /** Of the answer. */
  readonly status: number;
}

/** An incoming request that was refused; for the audit trail alone. */
export interface RefusedRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  /** Of the answer. */
  readonly status: number;
  /** Of the client, as Envoy tells it. */
  readonly address: string;
}

/** What its holder adds to, until it has ended: then the next one is asked for. */
export interface CallerCount {
  count: number;
  readonly ended: boolean;
}
