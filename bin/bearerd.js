#!/usr/bin/env node
// Starts bearerd on a current Node. What serves gets a small heap: V8 sizes its young generation by the machine's memory,
// which in a sidecar costs 100 MB and more for nothing (see bench/README.md). And neither a signal may open a debugger in
// it nor may its memory go into a core file.
import { existsSync } from 'node:fs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(`bearerd needs Node 22.15 or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}

// Measured on a quiet machine: with a young generation of 2 MB a Check through Envoy costs 4.4 us and the process held 119 to
// 130 MB under load (110 to 114 since one arena, below, and lib/garbage.ts); --optimize-for-size saved 5 to 15 MB more and
// cost two thirds more processor time.
const limits = ['--max-semi-space-size=2', '--max-old-space-size=256', '--disable-sigusr1'];
const own = (flag) =>
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ').includes(flag.split('=')[0]);
const missing = limits.filter((flag) => !own(flag));
const serves = ['serve', 'webhook'].includes(process.argv[2]);
// The entry point of the image gives the limits to every verb; `generate istio` for 10,000 policies takes 2 GB.
if (
  !serves &&
  limits.every((limit) => process.execArgv.includes(limit)) &&
  typeof process.execve === 'function'
) {
  const kept = process.execArgv.filter((flag) => !limits.includes(flag));
  process.execve(process.execPath, [process.execPath, ...kept, ...process.argv.slice(1)], process.env);
}
if (serves && missing.length > 0 && typeof process.execve === 'function') {
  // The same process id: a supervisor sees no child.
  const command = [process.execPath, ...process.execArgv, ...missing, ...process.argv.slice(1)];
  // One arena of glibc's malloc: threads that each keep their own hold 19 MB more under load (135 against 116 MB, measured
  // by the same calls; the processor time is the same). Other C libraries ignore it.
  const env = { MALLOC_ARENA_MAX: '1', ...process.env };
  const shell = '/bin/sh';
  // Node cannot set a limit of its own process; images without a shell have main.ts's coredump_filter alone.
  if (existsSync(shell))
    process.execve(shell, [shell, '-c', 'ulimit -c 0; exec "$@"', shell, ...command], env);
  process.execve(process.execPath, command, env);
}
await import('../dist/main.js');
