// Envoy's AccessLogService: takes refused attempts and tells the store which credential was refused.
// Reads paths and headers, logs none of them.
import type { CredentialStore } from '../../credential/credential.ts';
import type { HTTPAccessLogEntry } from '../../gen/envoy/data/accesslog/v3/accesslog.ts';
import {
  StreamAccessLogsMessage,
  StreamAccessLogsResponse,
} from '../../gen/envoy/service/accesslog/v3/als.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Tracer, within } from '../../lib/trace.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import { GrpcStatus } from '../../server/front.ts';
import { type StreamHandler, type StreamMethod, streamMethod } from '../../server/streams.ts';
import type { FeedbackDoor } from '../../telemetry/event-details.ts';
import type { Observer } from '../../telemetry/observer.ts';
import type { Acknowledgements } from '../push/acknowledgements.ts';
import type { AttemptOutcomes } from './attempt-outcomes.ts';
import type { Carried } from './carried-ring.ts';
import { type Judgement, judgeAttempt, judgeCheck, judgePush } from './evidence.ts';
import type { Nonces } from './nonces.ts';
import {
  type FailedAttempt,
  parseCheckAttempt,
  parseFailedAttempt,
  parsePushAttempt,
  type RefusedAttempt,
} from './refused-attempt.ts';
import { policyOf, type RefusalCount, refusedShare } from './refused-share.ts';
import { requestKey } from './request-key.ts';
import { countRequest } from './request-log.ts';

export interface AccessLogServiceDeps {
  readonly store: CredentialStore;
  /** Those in force; read anew for each entry, since the service outlives a configuration. */
  readonly policies: PolicyTable;
  readonly acknowledgements: Acknowledgements;
  /** What the check door put on which request. */
  readonly carried: Carried;
  /** What the attempt door put on which attempt. */
  readonly attempted: Carried;
  readonly outcomes: AttemptOutcomes;
  readonly nonces: Nonces;
  readonly refusals: RefusalCount;
  readonly observer: Observer;
  readonly clock: Clock;
  /** undefined = no spans. */
  readonly tracer?: Tracer | undefined;
}

/** Stated by the generated configuration; the log of each door has its own. */
const REQUEST_LOG = 'bearerd_requests';
const DOOR_BY_LOG_NAME: ReadonlyMap<string, FeedbackDoor> = new Map([
  ['bearerd_push', 'push'],
  ['bearerd_check', 'check'],
  ['bearerd_attempt', 'attempt'],
]);

/** Of one message; Envoy sends one entry a message when nothing is buffered. */
const MAX_ENTRIES = 1_000;

/** `name`: of the listener, for the observer. */
export function createAccessLogService(name: string, deps: AccessLogServiceDeps): StreamMethod {
  return streamMethod(
    '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
    StreamAccessLogsMessage,
    StreamAccessLogsResponse,
    createHandler(name, deps),
  );
}

function createHandler(
  name: string,
  deps: AccessLogServiceDeps,
): StreamHandler<StreamAccessLogsMessage, StreamAccessLogsResponse> {
  const { observer } = deps;
  return (stream) => {
    // Only the first message of a stream names its log.
    let door: FeedbackDoor | typeof REQUEST_LOG | undefined;
    stream.onMessage((message) => {
      const logName = message.identifier?.logName ?? '';
      door ??= logName === REQUEST_LOG ? REQUEST_LOG : DOOR_BY_LOG_NAME.get(logName);
      if (door === undefined) {
        observer.peerFault(name, 'unknown_log_name');
        stream.end(
          GrpcStatus.INVALID_ARGUMENT,
          'the log is named bearerd_push, bearerd_check, bearerd_attempt or bearerd_requests',
        );
        return;
      }
      const entries = message.logEntries?.httpLogs.logEntry ?? [];
      if (entries.length > MAX_ENTRIES) observer.peerFault(name, 'too_many_log_entries');
      for (const entry of entries.slice(0, MAX_ENTRIES)) {
        if (door === REQUEST_LOG) countRequest(entry, deps);
        else processEntry(door, entry, deps);
      }
    });
  };
}

function processEntry(door: FeedbackDoor, entry: HTTPAccessLogEntry, deps: AccessLogServiceDeps): void {
  const { policies, acknowledgements, carried, observer, clock } = deps;
  if (door === 'attempt') return processAttempt(entry, deps);
  const attempt = door === 'push' ? parsePushAttempt(entry) : parseCheckAttempt(entry);
  if (attempt === undefined) return;
  if (attempt === 'malformed') {
    observer.refusalSeen(door, '', 'malformed');
    return;
  }
  if (door === 'check') countRefusal(attempt, carried, deps);
  else countPushed(attempt, deps);
  const judgement =
    door === 'push'
      ? judgePush(attempt, policies, acknowledgements)
      : judgeCheck(attempt, policies, carried, clock.monotonic());
  conclude(door, entry, attempt, judgement, deps);
}

function processAttempt(entry: HTTPAccessLogEntry, deps: AccessLogServiceDeps): void {
  const { policies, attempted, outcomes, observer, clock } = deps;
  const attempt = parseFailedAttempt(entry);
  if (attempt === undefined) return;
  if (attempt === 'malformed') {
    observer.refusalSeen('attempt', '', 'malformed');
    return;
  }
  const { outcome, source, objection } = judgeAttempt(attempt, policies);
  learnNonce(attempt, deps);
  if (attempt.result === 'refused') countRefusal(attempt, attempted, deps);
  if (attempt.result === 'answered') return;
  outcomes.tell({ ...attempt, host: attempt.authority }, outcome);
  if (objection !== undefined) observer.refusalSeen('attempt', source, objection);
  // Also without another attempt to come (a body beyond Envoy's buffer, trailers after a body): heals the next request.
  if (outcome === 'refused') {
    const judgement = judgeCheck(attempt, policies, attempted, clock.monotonic());
    conclude('attempt', entry, attempt, judgement, deps);
  }
}

function countRefusal(
  attempt: RefusedAttempt,
  ring: Carried,
  { policies, refusals, clock }: AccessLogServiceDeps,
): void {
  const found = refusedShare(attempt, policies, ring, clock.monotonic());
  if (found === undefined) return;
  refusals.refused(found.policy.name, found.share, found.path, attempt.startedAt);
}

function countPushed(attempt: RefusedAttempt, { policies, refusals }: AccessLogServiceDeps): void {
  const policy = policyOf(attempt, attempt.path, policies);
  if (policy !== undefined) refusals.refusedOn(policy.name, attempt.path);
}

/** Before the next attempt hears of this one: its proof needs the nonce. */
function learnNonce(attempt: FailedAttempt, { policies, nonces }: AccessLogServiceDeps): void {
  if (attempt.dpopNonce === undefined) return;
  const { authority, method, path, scheme } = attempt;
  const policy = policies.match(authority, method, path, scheme);
  if (
    policy === undefined ||
    policy === 'ambiguous_path' ||
    (policy.instead ?? policy.source) !== attempt.source
  )
    return;
  if (policy.proof?.dpop) nonces.learn(policy.proof.upstreamUrl, attempt.dpopNonce);
}

function conclude(
  door: FeedbackDoor,
  { request }: HTTPAccessLogEntry,
  attempt: RefusedAttempt,
  judgement: Judgement,
  { store, observer, tracer, clock }: AccessLogServiceDeps,
): void {
  if (judgement.verdict !== 'counted') return observer.refusalSeen(door, judgement.source, judgement.verdict);
  const { inTrailers } = attempt;
  observer.refusalSeen(door, judgement.source, judgement.verdict, { ...judgement, inTrailers });
  const { requestId, startedAt, authority, method, path } = attempt;
  // Without a request id each attempt counts for itself.
  const key = requestKey(requestId || String(startedAt), authority, method, path);
  // The renewal that it begins is part of the request's trace.
  const attributes = { 'bearerd.source': judgement.source, 'bearerd.door': door };
  const span = tracer?.start('bearerd.refused', attributes, (name) => request?.requestHeaders.get(name));
  const { source, generation, sinceEpochMs } = judgement;
  const carriedForMs = sinceEpochMs && clock.now() - sinceEpochMs;
  within(span, () => store.refused(source, generation, key, carriedForMs));
  span?.end();
}
