// Command line in, exit code out: the only place with process.exit, signal handlers and process.env.
import { readFileSync } from 'node:fs';
import { runCommandLine } from './cli/run.ts';

const ended = new AbortController();
let asked = 0;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // A second one does not wait for calls in flight.
    if (++asked > 1) process.exit(1);
    ended.abort();
  });
}
// `bearerd schema | head` is no failure.
process.stdout.on('error', () => process.exit(0));

// Both src/ and dist/ lie beside it.
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

// Only the kind of an unexpected error: its message may quote what it worked on.
const fatal = (error: unknown): void => {
  const stack =
    error instanceof Error ? (error.stack ?? '').replace(error.message, '[message left out]') : '';
  process.stderr.write(`bearerd: unexpected ${error instanceof Error ? error.name : 'error'}\n${stack}\n`);
  process.exit(1);
};
process.on('uncaughtException', fatal);
process.on('unhandledRejection', fatal);

const code = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  version,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  ended: ended.signal,
});
process.exitCode = code;
// What is left open (a watch, a keep-alive) must not hold a process whose work is done; output is flushed first.
process.stdout.write('', () => process.exit(code));
