// The one place that knows pino. JSON lines on stdout, one per thing that matters, never one per request.
import { hostname } from 'node:os';
import { pino } from 'pino';
import type { LogConfig } from '../config/config.ts';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Said once at the start, so that the configuration of each sidecar is in its log. */
export const IN_FORCE = 'the configuration in force';

const LOG_LEVELS: readonly string[] = ['trace', 'debug', 'info', 'warn', 'error'];

export interface Logger {
  /** May be changed while it is in use. */
  level: string;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** A place that takes whole lines. */
export interface LogSink {
  /** `written` is told when they were taken, or why not. */
  write(lines: string, written?: (error?: Error | null) => void): void;
}

/** `{ level }` changes the level, `{}` asks for it. */
export async function answerLogLevel(log: Logger, question: unknown): Promise<object> {
  const { level } = (question ?? {}) as { readonly level?: unknown };
  if (level !== undefined && !LOG_LEVELS.includes(level as string)) {
    return { error: `expected one of ${LOG_LEVELS.join(', ')}` };
  }
  if (level !== undefined && level !== log.level) {
    // Shown whatever the levels are.
    log.error(
      { operation: 'log_level_changed', level: level as string, before: log.level },
      'the log level was changed',
    );
    log.level = level as string;
  }
  return { level: log.level };
}

/** Fields are flat strings, numbers and booleans by type: an object with a token in it cannot be logged by mistake. */
export function createLogger(config: LogConfig, sink: LogSink): Logger {
  return pino(
    {
      level: config.level,
      // The host name is the pod's: it tells this sidecar from others.
      base: { service: 'bearerd', node: hostname() },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
}
