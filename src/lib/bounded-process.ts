// One run of a program, bounded in time and output. It leads a process group of its own, and the whole group ends with it:
// what it left running would hold its output open, and maybe a secret.
import { spawn } from 'node:child_process';

export interface RunOptions {
  /** Program and arguments; no shell. */
  readonly command: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends the run with 'aborted'. */
  readonly signal: AbortSignal;
  /** Of standard output, bytes. */
  readonly maxBytes: number;
}

export type RunResult =
  | {
      readonly outcome: 'exited';
      readonly code: number;
      readonly stdout: string;
      readonly stderrBytes: number;
    }
  | { readonly outcome: 'killed'; readonly by: NodeJS.Signals; readonly stderrBytes: number }
  /** `code` of the system, e.g. ENOENT. */
  | { readonly outcome: 'not_started'; readonly code: string }
  | { readonly outcome: 'too_much_output' | 'aborted' };

/** Never rejects. Standard error is counted and dropped: nobody knows what stands in it. */
export function runBounded({ command, env, signal, maxBytes }: RunOptions): Promise<RunResult> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ outcome: 'aborted' });
    const [program, ...args] = command;
    const child = spawn(program!, args, {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // setsid(2): the process is the leader of a new group.
      detached: true,
    });
    const chunks: Buffer[] = [];
    let stdoutBytes = 0;
    let stderrBytes = 0;
    let early: 'too_much_output' | 'aborted' | undefined;

    function killGroup(): void {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // ESRCH: nothing of it is left.
      }
    }
    function end(reason: 'too_much_output' | 'aborted'): void {
      early ??= reason;
      killGroup();
      // Somebody who left the group may hold the pipes.
      child.stdout.destroy();
      child.stderr.destroy();
    }
    const abort = (): void => end('aborted');
    signal.addEventListener('abort', abort, { once: true });
    child.stdout.on('data', (chunk: Buffer) => {
      stdoutBytes += chunk.length;
      if (stdoutBytes > maxBytes) end('too_much_output');
      else chunks.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderrBytes += chunk.length;
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      signal.removeEventListener('abort', abort);
      resolve({ outcome: 'not_started', code: error.code ?? 'unknown fault' });
    });
    child.once('exit', killGroup);
    child.once('close', (code, by) => {
      signal.removeEventListener('abort', abort);
      if (early !== undefined) resolve({ outcome: early });
      else if (by !== null) resolve({ outcome: 'killed', by, stderrBytes });
      else {
        resolve({
          outcome: 'exited',
          code: code ?? -1,
          stdout: Buffer.concat(chunks).toString('utf8'),
          stderrBytes,
        });
      }
      for (const chunk of chunks) chunk.fill(0);
    });
  });
}
