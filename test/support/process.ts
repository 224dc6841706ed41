// A child process of a test: its output kept, its end awaited, stopped by its own handle and never by name.
import { type ChildProcess, spawn } from 'node:child_process';

export interface ProcessOptions {
  /** For error messages. Default: the command. */
  readonly name?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Its standard input is a pipe, else nothing. */
  readonly stdin?: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartedProcess {
  readonly pid: number;
  readonly child: ChildProcess;
  /** stdout and stderr together, the last 4 MiB. */
  output(): string;
  readonly exited: Promise<Exit>;
  /** Resolves with the match as soon as the output has it; rejects with the output when the process ends or time is up. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** SIGTERM, after `graceMs` SIGKILL. Resolves when it has ended; harmless when it has already. */
  stop(graceMs?: number): Promise<Exit>;
}

const MAX_OUTPUT = 4 << 20;
/** A test may run in a container of Kubernetes, where the development mode is refused. */
const OUTSIDE = { KUBERNETES_SERVICE_HOST: undefined };

// A test run that ends early must leave no process behind.
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
// A signal by itself ends a process without that. Who has something of its own to end then does it first.
for (const [signal, code] of Object.entries({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => {
    if (process.listenerCount(signal) === 0) process.exit(code);
  });
}

/** Starts `command`; rejects when it cannot be started. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<StartedProcess> {
  const name = options.name ?? command;
  const child = spawn(command, args, {
    stdio: [options.stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    env: { ...(options.env ?? process.env), ...OUTSIDE },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let text = '';
  const listeners = new Set<() => void>();
  const take = (chunk: Buffer) => {
    text = (text + chunk.toString('utf8')).slice(-MAX_OUTPUT);
    for (const listener of listeners) listener();
  };
  child.stdout!.on('data', take);
  child.stderr!.on('data', take);
  running.add(child);
  const exited = new Promise<Exit>((resolve) => {
    // 'close' and not 'exit': only then is the last output here.
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (error) => {
      running.delete(child);
      reject(new Error(`${name} could not be started: ${error.message}`));
    });
  });

  return {
    pid: child.pid!,
    child,
    output: () => text,
    exited,
    waitForOutput(pattern, timeoutMs = 30_000) {
      return new Promise((resolve, reject) => {
        const end = (why: string) => {
          finish();
          reject(new Error(`${name} ${why} without ${pattern} in its output:\n${text.slice(-4000)}`));
        };
        const timer = setTimeout(() => end(`ran ${timeoutMs} ms`), timeoutMs);
        const look = () => {
          const match = pattern.exec(text);
          if (!match) return;
          finish();
          resolve(match);
        };
        const finish = () => {
          clearTimeout(timer);
          listeners.delete(look);
        };
        listeners.add(look);
        look();
        void exited.then(() => listeners.has(look) && end('ended'));
      });
    },
    async stop(graceMs = 5_000) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      try {
        return await exited;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
