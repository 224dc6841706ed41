// Command line in, exit code out: the only place with process.exit, signal handlers and process.env.
import { readFileSync, writeFileSync } from 'node:fs';
import { runCommandLine } from './cli/run.ts';
import { parseRuntime } from './lib/runtime.ts';

const ended = new AbortController();
let asked = 0;
const serves = ['serve', 'webhook'].includes(process.argv[2]!);
/** What ends by itself when it is asked to; the others have nothing to put in order. */
const isAsked = serves || ['status', 'login'].includes(process.argv[2]!);
for (const signal of isAsked ? (['SIGTERM', 'SIGINT'] as const) : []) {
  process.on(signal, () => {
    // A second one does not wait for calls in flight.
    if (++asked > 1) process.exit(1);
    ended.abort();
  });
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Requests do not depend on who reads the log lines: these are lost.
  if (serves) return;
  // `bearerd schema | head` is no failure; half a manifest on a full disk is one.
  if (error.code === 'EPIPE') process.exit();
  process.stderr.write(`bearerd: standard output: ${error.code}\n`);
  process.exit(1);
});
process.stderr.on('error', () => {});

/** Of log lines that nobody reads; the reader may stand still for ever. */
const MAX_UNREAD_BYTES = 256 << 10;
/** For the reader of the last ones. */
const FLUSH_MS = 500;

function write(text: string, written: (error?: Error | null) => void = () => {}): void {
  if (serves && process.stdout.writableLength > MAX_UNREAD_BYTES)
    written(new Error('nobody reads the output'));
  else process.stdout.write(text, written);
}

// Both src/ and dist/ lie beside it.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Cursor home, clear below: the terminal does not flicker. */
const TOP = '\x1b[H\x1b[J';

/** For calls in flight after an unexpected error; Envoy's own calls end sooner. */
const DRAIN_MS = 8_000;
let failed = false;

// Nobody knows what state it leaves, so the process ends, but Envoy is told first and calls in flight are answered.
const fatal = (error: unknown): void => {
  // Only where it happened: message and name may quote what it worked on.
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line));
  process.stderr.write(`bearerd: unexpected error, ending\n${frames.join('\n')}\n`);
  if (failed || !serves) process.exit(1);
  failed = true;
  setTimeout(() => process.exit(1), DRAIN_MS).unref();
  ended.abort();
};
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);

/** Memory stays out of core files (core(5)); elsewhere than on Linux there is no such file. */
function emptyCoreFiles(): boolean {
  try {
    writeFileSync('/proc/self/coredump_filter', '0');
    return true;
  } catch {
    return false;
  }
}

const code = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  version,
  runtime: parseRuntime(process.env, process.versions.node, emptyCoreFiles()),
  clear: process.stdout.isTTY ? () => write(TOP) : undefined,
  out: write,
  err: (text) => void process.stderr.write(text),
  ended: ended.signal,
  onReload: (listener) => void process.on('SIGHUP', listener),
});
const exitCode = failed ? 1 : code;
process.exitCode = exitCode;
// What is left open (a watch, a keep-alive) must not hold a process whose work is done; output is flushed first.
process.stderr.write('', () => {
  process.stdout.write('', (error) => (error ? setImmediate(() => process.exit()) : process.exit()));
});
if (serves) setTimeout(() => process.exit(), FLUSH_MS);
