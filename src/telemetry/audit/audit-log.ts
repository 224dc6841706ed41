// Takes audit events, writes them in order with their chain, and counts what a failing sink lost. Nobody ever waits.
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Secret } from '../../lib/secret.ts';
import {
  type AuditFields,
  CHAIN_START,
  type ChainHead,
  openRecord,
  recordText,
  sealRecord,
} from './chain.ts';

/** Events that may wait for a slow or failing sink. */
const MAX_WAITING = 10_000;
const RETRY_MS = 1_000;
const BATCH = 500;

/** Where lines go: a file, or standard output. */
export interface AuditSink {
  append(lines: string): Promise<void>;
  /** The last line of an earlier run, whose chain goes on. */
  lastLine(): Promise<string | undefined>;
  close(): Promise<void>;
}

export interface AuditLogDeps {
  readonly sink: AuditSink;
  /** Without one the lines carry no MAC. */
  readonly key: (() => Promise<Secret>) | undefined;
  /** Which sidecar it was: the pod or host. */
  readonly node: string;
  readonly clock: Clock;
  /** Told when the sink fails, and that it took lines again. */
  readonly onSink: (state: 'failed' | 'recovered', reason: string) => void;
  /** Told for each record that is dropped. */
  readonly onLost?: () => void;
}

export interface AuditLog {
  /** Takes the event at once; it is written soon after. */
  record(event: string, fields: AuditFields): void;
  /** The last record that is on the disk; undefined without a key or before the first. */
  head(): ChainHead | undefined;
  /** Events that were dropped since start, because the sink took none for too long. */
  lost(): number;
  /** Writes what waits, once. */
  stop(): Promise<void>;
}

export function createAuditLog({ sink, key: readKey, node, clock, onSink, onLost }: AuditLogDeps): AuditLog {
  const waiting: AuditFields[] = [];
  let head: ChainHead = CHAIN_START;
  let lost = 0;
  /** Of these the file does not know yet. */
  let untold = 0;
  let key: Secret | undefined;
  let joined = false;
  let failing = false;
  let flight: Promise<void> | undefined;
  let retry: Timer | undefined;

  /** Goes on with the chain of an earlier run. One that was written with another key begins anew, and says so. */
  async function join(): Promise<void> {
    if (joined) return;
    key = await readKey?.();
    const last = key === undefined ? undefined : await sink.lastLine();
    if (key !== undefined && last !== undefined) {
      const opened = openRecord(last, undefined, key);
      if ('fault' in opened) waiting.unshift(fieldsOf('chain_restarted', { fault: opened.fault }));
      else head = opened.head;
    }
    joined = true;
  }

  const fieldsOf = (event: string, fields: AuditFields): AuditFields => ({
    time: new Date(clock.now()).toISOString(),
    node,
    event,
    ...fields,
  });

  async function write(): Promise<void> {
    await join();
    while (waiting.length > 0 || untold > 0) {
      if (untold > 0) {
        waiting.unshift(fieldsOf('records_lost', { count: untold }));
        untold = 0;
      }
      const batch = waiting.slice(0, BATCH);
      let next = head;
      const lines = batch.map((fields) => {
        if (key === undefined) return recordText(fields);
        const sealed = sealRecord(fields, next, key);
        next = sealed.head;
        return sealed.line;
      });
      await sink.append(`${lines.join('\n')}\n`);
      // Only now: what failed is sealed again, with the records that came to stand before it.
      waiting.splice(0, batch.length);
      head = next;
      if (failing) onSink('recovered', '');
      failing = false;
    }
  }

  function flush(): Promise<void> {
    flight ??= write()
      .catch((error: unknown) => {
        if (!failing) onSink('failed', (error as NodeJS.ErrnoException).code ?? 'unknown fault');
        failing = true;
        retry = clock.setTimer(() => void flush(), RETRY_MS);
      })
      .finally(() => {
        flight = undefined;
        // What came between the last look and now.
        if (waiting.length > 0 && !failing) void flush();
      });
    return flight;
  }

  return {
    record(event, fields) {
      if (waiting.length >= MAX_WAITING) {
        lost++;
        untold++;
        onLost?.();
        return;
      }
      waiting.push(fieldsOf(event, fields));
      if (!failing) void flush();
    },
    head: () => (key === undefined || head.seq === 0 ? undefined : head),
    lost: () => lost,
    async stop() {
      retry?.cancel();
      await flight;
      if (waiting.length > 0) await flush();
      retry?.cancel();
      await sink.close();
    },
  };
}
