// Envoy's AccessLogService: takes refused attempts and tells the store which credential was refused.
// Reads paths and headers, logs none of them.
import { hash } from 'node:crypto';
import type { CredentialStore } from '../../credential/credential.ts';
import type { HTTPAccessLogEntry } from '../../gen/envoy/data/accesslog/v3/accesslog.ts';
import {
  StreamAccessLogsMessage,
  StreamAccessLogsResponse,
} from '../../gen/envoy/service/accesslog/v3/als.ts';
import type { Clock } from '../../lib/clock.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import { GrpcStatus } from '../../server/front.ts';
import { type StreamHandler, type StreamMethod, streamMethod } from '../../server/streams.ts';
import type { FeedbackDoor, Observer } from '../../telemetry/observer.ts';
import type { Acknowledgements } from '../push/pushed-secrets.ts';
import { type Carried, judgeCheck, judgePush } from './evidence.ts';
import { parseCheckAttempt, parsePushAttempt, type RefusedAttempt } from './refused-attempt.ts';

export interface AccessLogServiceDeps {
  readonly store: CredentialStore;
  readonly policies: PolicyTable;
  readonly acknowledgements: Acknowledgements;
  readonly carried: Carried;
  readonly observer: Observer;
  readonly clock: Clock;
  /** Of the listener, for the observer. */
  readonly name: string;
}

/** Stated by the generated configuration; the log of each door has its own. */
const DOOR_BY_LOG_NAME: ReadonlyMap<string, FeedbackDoor> = new Map([
  ['bearerd_push', 'push'],
  ['bearerd_check', 'check'],
]);

/** Of one message; Envoy sends one entry a message when nothing is buffered. */
const MAX_ENTRIES = 1_000;

export function createAccessLogService(deps: AccessLogServiceDeps): StreamMethod {
  return streamMethod(
    '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs',
    StreamAccessLogsMessage,
    StreamAccessLogsResponse,
    createHandler(deps),
  );
}

function createHandler(
  deps: AccessLogServiceDeps,
): StreamHandler<StreamAccessLogsMessage, StreamAccessLogsResponse> {
  const { observer, name } = deps;
  return (stream) => {
    // Only the first message of a stream names its log.
    let door: FeedbackDoor | undefined;
    stream.onMessage((message) => {
      door ??= DOOR_BY_LOG_NAME.get(message.identifier?.logName ?? '');
      if (door === undefined) {
        observer.peerFault(name, 'unknown_log_name');
        stream.end(GrpcStatus.INVALID_ARGUMENT, 'the log is named bearerd_push or bearerd_check');
        return;
      }
      const entries = message.logEntries?.httpLogs.logEntry ?? [];
      if (entries.length > MAX_ENTRIES) observer.peerFault(name, 'too_many_log_entries');
      for (const entry of entries.slice(0, MAX_ENTRIES)) processEntry(door, entry, deps);
    });
  };
}

function processEntry(door: FeedbackDoor, entry: HTTPAccessLogEntry, deps: AccessLogServiceDeps): void {
  const { store, policies, acknowledgements, carried, observer, clock } = deps;
  const attempt = door === 'push' ? parsePushAttempt(entry) : parseCheckAttempt(entry);
  if (attempt === undefined) return;
  if (attempt === 'malformed') {
    observer.refusalSeen(door, '', 'malformed');
    return;
  }
  const judgement =
    door === 'push'
      ? judgePush(attempt, policies, acknowledgements)
      : judgeCheck(attempt, policies, carried, clock.monotonic());
  observer.refusalSeen(door, judgement.source, judgement.verdict);
  if (judgement.verdict === 'counted') {
    store.refused(judgement.source, judgement.generation, requestKey(attempt));
  }
}

/** The same for all attempts of one request. Without a request id each attempt counts for itself. */
function requestKey({ requestId, startedAt, authority, method, path }: RefusedAttempt): string {
  return hash('sha256', JSON.stringify([requestId || startedAt, authority, method, path]), 'base64url');
}
