// The audit trail of one process, from its configuration: sink, chain, observer, and its signed head in the log.
import type { AuditConfig } from '../../config/config.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { acquireHolderLock, type HolderLock, NotHeldError } from '../../lib/holder-lock.ts';
import { createSecretReader } from '../../lib/secret-ref.ts';
import type { Logger, LogSink } from '../logger.ts';
import type { Observer } from '../observer.ts';
import { createAuditFile } from './audit-file.ts';
import { createAuditLog } from './audit-log.ts';
import { type AuditObserver, createAuditObserver } from './audit-observer.ts';
import type { AuditFields } from './chain.ts';

const HEAD_EVERY_MS = 60_000;

export interface AuditDeps {
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** For sink: stdout. */
  readonly out: LogSink;
  /** For metrics. */
  readonly observer: Pick<Observer, 'auditSinkChanged' | 'auditRecordLost'>;
}

export interface Audit extends Omit<AuditObserver, 'stop'> {
  record(event: string, fields: AuditFields): void;
  /** Events that were dropped because the sink failed, since start. */
  lost(): number;
  /** The last record of a trail is `stopped`. */
  stop(): Promise<void>;
}

/** Rejects where another process writes to the same file: two chains in one file are none. */
export async function createAudit(
  config: AuditConfig,
  { clock, env, log, out, observer: told }: AuditDeps,
): Promise<Audit> {
  const { sink, key, node } = config;
  const lock = sink.kind === 'file' ? await lockOf(sink.path) : undefined;
  const auditLog = createAuditLog({
    sink:
      sink.kind === 'file'
        ? createAuditFile({ ...sink, clock })
        : {
            append: (lines) =>
              new Promise((resolve, reject) => {
                out.write(lines, (error) => (error ? reject(error) : resolve()));
              }),
            lastLine: async () => undefined,
            close: async () => {},
          },
    key: key && createSecretReader(key, env).read,
    node,
    clock,
    onSink(state, reason) {
      told.auditSinkChanged(state);
      if (state === 'failed') {
        log.error(
          { operation: 'audit_sink_changed', reason },
          'audit records cannot be written; they wait, and are counted when they are lost',
        );
      } else log.info({ operation: 'audit_sink_changed' }, 'audit records are written again');
    },
    onLost: () => told.auditRecordLost(),
  });
  const { observer, watch, stop } = createAuditObserver(auditLog, clock);
  let toldSeq = 0;
  let timer: Timer | undefined;

  // A cut tail shows only against a head that is kept somewhere else.
  function tellHead(): void {
    const head = auditLog.head();
    if (head === undefined || head.seq === toldSeq) return;
    toldSeq = head.seq;
    log.info({ operation: 'audit_head', auditHead: `${head.seq}:${head.mac}` }, 'head of the audit chain');
  }
  function everyMinute(): void {
    timer = clock.setTimer(() => {
      tellHead();
      everyMinute();
    }, HEAD_EVERY_MS);
  }
  everyMinute();

  return {
    observer,
    watch,
    record: auditLog.record,
    lost: auditLog.lost,
    async stop() {
      timer?.cancel();
      stop();
      auditLog.record('stopped', {});
      await auditLog.stop();
      tellHead();
      await lock?.release();
    },
  };
}

async function lockOf(path: string): Promise<HolderLock> {
  try {
    return await acquireHolderLock(path);
  } catch (error) {
    if (!(error instanceof NotHeldError)) throw error;
    throw new Error(`audit.sink: ${error.message}; each process needs an audit file of its own`);
  }
}
