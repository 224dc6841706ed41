// What the program tells of itself. Doors, store and sources call an Observer and know nothing of logs or metrics;
// the null object costs a call and no branch. No method ever receives a token, a secret, a header value or a path.
import type { CredentialErrorCode } from '../lib/errors.ts';
import type { RuntimeReport } from '../lib/runtime.ts';
import type {
  CallerCount,
  CheckDecision,
  CheckReason,
  DeniedRequest,
  EndpointCallKind,
  EndpointRefusal,
  FeedbackDoor,
  ForcedRefresh,
  GuardAlarm,
  GuardDetail,
  KeyNotice,
  KeyReport,
  RefusalVerdict,
  RefusedRequest,
  RequestStatus,
  SharedCacheFault,
  SharedCacheRead,
  SharedCacheState,
} from './event-details.ts';

export interface Observer {
  /** The process begins, with what its environment switched on. */
  processStarted(version: string, runtime: RuntimeReport): void;
  /** Another configuration took over. `revision` counts up from 1; `hash` is of all that is no secret. */
  configurationTaken(revision: number, hash: string): void;
  /** Of the configuration in force, by the names of sources and policies that have one. */
  ownersNamed(sources: ReadonlyMap<string, string>, policies: ReadonlyMap<string, string>): void;
  /** It was not taken over: the one before stays in force. `problems` quotes no secret. */
  configurationRefused(file: string, problems: string): void;
  /** A signed bundle of policies took over. `expiresAt` in epoch ms. */
  bundleTaken(serial: number, expiresAt: number): void;
  /** Counts the accepted requests of an inbound policy; the caller adds to `count`. */
  acceptanceCount(policy: string): { count: number };
  /**
   * Counts the accepted requests of one verified caller, for the audit trail alone. `issuer` is undefined for an API key,
   * `caller` empty where nobody was asked who it is.
   */
  callerCount(policy: string, issuer: string | undefined, caller: string): CallerCount;
  /**
   * An incoming request was refused; in shadow it would have been. `reason` is closed (inbound/refusal.ts); `decision` is the
   * id that the caller got.
   */
  inboundRefused(
    policy: string | undefined,
    reason: string,
    decision: string,
    mode: 'enforce' | 'shadow',
    request: RefusedRequest,
  ): void;
  /** A key set, list or table of the inbound side, or the policy bundle, was read anew. `entries` are in it. */
  inputLoaded(input: string, entries: number): void;
  /** It was looked at and has not changed. */
  inputCurrent(input: string): void;
  /** It could not be read or is not usable: the last good one counts on. `reason` quotes nothing of it. */
  inputRefused(input: string, reason: string): void;
  /** Counts the injections of a policy, the one thing that happens for every warm Check: the caller adds to `count`. */
  injectionCount(policy: string, source: string): { count: number };
  /**
   * Every other answer to a Check, an injection that was waited for among them. `policy` is undefined where none matched,
   * `waitedMs` where the answer was there at once.
   */
  checkDecided(
    policy: string | undefined,
    decision: CheckDecision,
    reason: CheckReason,
    waitedMs?: number,
  ): void;
  /** A policy denied an outgoing request, through whatever door; in shadow it would have. */
  outboundDenied(policy: string, mode: 'enforce' | 'shadow', request: DeniedRequest): void;
  /** As injectionCount, of the attempt door: one an attempt. */
  attemptInjectionCount(policy: string, source: string): { count: number };
  /** Every other answer to an attempt. */
  attemptDecided(
    policy: string | undefined,
    decision: CheckDecision,
    reason: CheckReason,
    waitedMs?: number,
  ): void;
  /** Why an attempt before this one failed was not told in time: it goes with the current credential. */
  feedbackLate(policy: string): void;
  /** A fetch ended. `durationMs` is the provider's time. */
  refreshEnded(source: string, result: 'ok' | CredentialErrorCode, durationMs: number, forced: boolean): void;
  /** A failed fetch, with the text for the log and the delay before the next attempt. */
  refreshFailed(source: string, code: CredentialErrorCode, message: string, nextAttemptMs: number): void;
  /** `keyId` of several keys; `issuedBy` is another source where a fallback gave it. */
  credentialPublished(
    source: string,
    generation: number,
    expiresAt: number,
    keyId: string | undefined,
    issuedBy: string,
  ): void;
  /** The last credential of a source ended without a new one. */
  credentialExpired(source: string, generation: number): void;
  /** How many subjects of a source have a credential now. */
  subjectsHeld(source: string, count: number): void;
  /** A subject's live credential made room for another's. */
  subjectEvicted(source: string): void;
  /** `endpoint` is the address that sources were configured with. */
  endpointCalled(endpoint: string, kind: EndpointCallKind): void;
  endpointRefused(endpoint: string, why: EndpointRefusal): void;
  breakerChanged(endpoint: string, state: 'closed' | 'open' | 'half_open'): void;
  /** How far our wall clock is ahead of a provider's, ms; behind is negative. Told with each answer that has a date. */
  clockSkewSeen(provider: string, skewMs: number): void;
  /** `source` was away and `fallback` gave the credential in its place. */
  fallbackUsed(source: string, fallback: string, because: CredentialErrorCode): void;
  /** Sources of two environments have one secret. */
  secretShared(source: string, other: string): void;
  /**
   * Of the scope that the configuration asks for, what the provider did not grant; empty = it granted all. Told with the first
   * token of a source and when it changes.
   */
  scopeWithheld(source: string, scope: readonly string[]): void;
  secretChanged(source: string): void;
  /** A refresh token was stored; `expiresAt` in epoch milliseconds, undefined = nobody told. */
  refreshTokenStored(source: string, expiresAt: number | undefined): void;
  /** It ends within seven days: told once a day. */
  refreshTokenEnding(source: string, expiresAt: number): void;
  /** An earlier call with it had no known answer (a crash, a timeout): the same one is tried again. */
  refreshTokenInDoubt(source: string): void;
  /** No refresh token that the provider takes: nothing is tried until somebody logs in. `reason` is fixed text. */
  loginRequired(source: string, reason: string): void;
  /** The keys of a ring as they stand in its file now. */
  keyRingRead(source: string, keys: readonly KeyReport[]): void;
  /** The ring file cannot be used: the last good one stays in force. `reason` names the place. */
  keyRingRefused(source: string, reason: string): void;
  /** True now; told once a day while it stays true. */
  keyNoticed(source: string, keyId: string, notice: KeyNotice): void;
  /** An upstream refused this key: another one takes its place where there is one. */
  keyRefused(source: string, keyId: string): void;
  sharedCacheRead(source: string, result: SharedCacheRead): void;
  /** `overtaken` = another process wrote a newer one meanwhile. */
  sharedCacheWritten(source: string, result: 'written' | 'overtaken' | 'unavailable'): void;
  sharedCacheFailed(fault: SharedCacheFault): void;
  /** State or reason is another. The reason is fixed text that says what to change; undefined for `up`. */
  sharedCacheChanged(state: SharedCacheState, reason: string | undefined): void;
  /** `refused` is known of those that count. */
  refusalSeen(
    door: FeedbackDoor,
    source: string,
    verdict: RefusalVerdict,
    refused?: { readonly policy: string; readonly generation: number; readonly inTrailers: boolean },
  ): void;
  /** Of access_log: full. `policy` is undefined where none matched, `door` where none served it. */
  requestEnded(
    policy: string | undefined,
    door: FeedbackDoor | undefined,
    status: RequestStatus,
    durationMs: number,
  ): void;
  /** By the upstream's headers of one response; undefined = it did not say. */
  rateLimitSeen(policy: string, limit: number | undefined, remaining: number | undefined): void;
  refreshForced(source: string, outcome: ForcedRefresh): void;
  /** What the guard did about a version of a policy; undefined = the alarm is over. */
  guardChanged(policy: string, alarm: GuardAlarm | undefined, detail: GuardDetail): void;
  /** A version of a policy ran long enough without alarm. */
  guardProven(policy: string, version: string): void;
  /** What the guard works with cannot be had: Envoy's statistics, those of one policy, or the folder that keeps its state. */
  guardHindered(what: 'envoy_admin' | 'totals' | 'state_dir', reason: string): void;
  secretSubscribed(secretName: string, known: boolean): void;
  secretUnsubscribed(secretName: string, known: boolean): void;
  secretAcknowledged(secretName: string, version: string): void;
  /** `detail` is Envoy's error text; `known`: whether a policy has the name. */
  secretRejected(secretName: string, version: string, detail: string, known: boolean): void;
  /** A peer broke a limit or the protocol on one of our listeners. */
  peerFault(listener: string, fault: string): void;
  /** The front or a server listens, drains, or has ended. */
  listenerChanged(listener: string, state: 'listening' | 'draining' | 'closed', address: string): void;
  /** A listener serves with this certificate; `notAfter` in epoch milliseconds. */
  certificateLoaded(listener: string, notAfter: number): void;
  /** New files were not taken over: the last good ones serve on. `reason` names the file. */
  certificateRefused(listener: string, reason: string): void;
  /** The audit trail cannot be written, or is written again. */
  auditSinkChanged(state: 'failed' | 'recovered'): void;
  /** An audit record was dropped: the sink took none for too long. */
  auditRecordLost(): void;
  /** Spans that the collector did not take. */
  spansLost(count: number): void;
  /** A thing that should not happen; `message` is fixed text. */
  unexpected(where: string, error: unknown): void;
}

const nothing = (): void => {};

export const nullObserver: Observer = {
  configurationTaken: nothing,
  configurationRefused: nothing,
  bundleTaken: nothing,
  ownersNamed: nothing,
  processStarted: nothing,
  injectionCount: () => ({ count: 0 }),
  acceptanceCount: () => ({ count: 0 }),
  callerCount: () => ({ count: 0, ended: false }),
  inboundRefused: nothing,
  inputLoaded: nothing,
  inputCurrent: nothing,
  inputRefused: nothing,
  checkDecided: nothing,
  outboundDenied: nothing,
  attemptInjectionCount: () => ({ count: 0 }),
  attemptDecided: nothing,
  feedbackLate: nothing,
  refreshEnded: nothing,
  refreshFailed: nothing,
  credentialPublished: nothing,
  credentialExpired: nothing,
  subjectsHeld: nothing,
  subjectEvicted: nothing,
  endpointCalled: nothing,
  endpointRefused: nothing,
  breakerChanged: nothing,
  clockSkewSeen: nothing,
  fallbackUsed: nothing,
  secretShared: nothing,
  scopeWithheld: nothing,
  secretChanged: nothing,
  refreshTokenStored: nothing,
  refreshTokenEnding: nothing,
  refreshTokenInDoubt: nothing,
  loginRequired: nothing,
  keyRingRead: nothing,
  keyRingRefused: nothing,
  keyNoticed: nothing,
  keyRefused: nothing,
  sharedCacheRead: nothing,
  sharedCacheWritten: nothing,
  sharedCacheFailed: nothing,
  sharedCacheChanged: nothing,
  refusalSeen: nothing,
  requestEnded: nothing,
  rateLimitSeen: nothing,
  refreshForced: nothing,
  guardChanged: nothing,
  guardProven: nothing,
  guardHindered: nothing,
  secretSubscribed: nothing,
  secretUnsubscribed: nothing,
  secretAcknowledged: nothing,
  secretRejected: nothing,
  peerFault: nothing,
  listenerChanged: nothing,
  certificateLoaded: nothing,
  certificateRefused: nothing,
  auditSinkChanged: nothing,
  auditRecordLost: nothing,
  spansLost: nothing,
  unexpected: nothing,
};
