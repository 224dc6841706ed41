// The one place that knows pino. JSON lines on stdout, one per thing that matters, never one per request.
import { pino } from 'pino';
import type { LogConfig } from '../config/config.ts';

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  /** May be changed while it is in use. */
  level: string;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** A place that takes whole lines; process.stdout by default, a buffer in tests. */
export interface LogSink {
  write(line: string): void;
}

/** Fields are flat strings, numbers and booleans by type: an object with a token in it cannot be logged by mistake. */
export function createLogger(config: LogConfig, sink: LogSink): Logger {
  return pino(
    {
      level: config.level,
      base: { service: 'bearerd' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
}
