#!/usr/bin/env node
// Starts bearerd on a current Node. `serve` gets a small heap: V8 sizes its young generation by the machine's memory,
// which in a sidecar costs 100 MB and more for nothing (see bench/README.md). And neither a signal may open a debugger in
// it nor may its memory go into a core file.
import { existsSync } from 'node:fs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(`bearerd needs Node 22.15 or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}

// Young collections of 4 MB are over before other threads could help: waking them costs more than it gives where other
// processes want the cores. For size: the heap grows in small steps, which is 25 MB under load and 7 MB at rest.
const limits = [
  '--max-semi-space-size=4',
  '--max-old-space-size=256',
  '--no-parallel-scavenge',
  '--optimize-for-size',
  '--disable-sigusr1',
];
const own = (flag) =>
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ').includes(flag.split('=')[0]);
const missing = limits.filter((flag) => !own(flag));
if (process.argv[2] === 'serve' && missing.length > 0 && typeof process.execve === 'function') {
  // The same process id: a supervisor sees no child.
  const command = [process.execPath, ...process.execArgv, ...missing, ...process.argv.slice(1)];
  const shell = '/bin/sh';
  // Node cannot set a limit of its own process; images without a shell have main.ts's coredump_filter alone.
  if (existsSync(shell)) process.execve(shell, [shell, '-c', 'ulimit -c 0; exec "$@"', shell, ...command]);
  process.execve(process.execPath, command);
}
await import('../dist/main.js');
