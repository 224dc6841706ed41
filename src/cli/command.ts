// What a verb gets and gives. Verbs return their exit code and never end the process.
import type { RuntimeReport } from '../lib/runtime.ts';

export interface CommandContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly runtime: RuntimeReport;
  /** Begins the screen anew; undefined where `out` is no terminal. */
  readonly clear: (() => void) | undefined;
  /**
   * What a terminal would obey is escaped (run.ts); that a text of others makes no line of its own is the caller's to see to.
   * `written` is told when it has been taken, or why not.
   */
  out(text: string, written?: (error?: Error | null) => void): void;
  /** Escaped as well. */
  err(text: string): void;
  /** Aborted when the process is asked to end. */
  readonly ended: AbortSignal;
  /** Calls `listener` each time the process is told to read its configuration again (SIGHUP). */
  onReload(listener: () => void): void;
}

export interface Command {
  readonly help: string;
  /** By the word that follows the verb. */
  readonly verbs?: Readonly<Record<string, Command>>;
  run(args: readonly string[], context: CommandContext): Promise<number>;
}

/** A file that the command line names, or standard input, cannot be used: exit code 1. The message names it, and the place. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** A wrong command line: printed with the verb's usage, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
