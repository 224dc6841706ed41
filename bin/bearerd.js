#!/usr/bin/env node
// Starts bearerd on a current Node, with a small heap for `serve`: V8 sizes its young generation by the machine's memory,
// which in a sidecar costs 100 MB and more for nothing (see bench/README.md).
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(`bearerd needs Node 22.15 or newer, this is ${process.versions.node}\n`);
  process.exit(1);
}

const limits = ['--max-semi-space-size=4', '--max-old-space-size=256'];
const own = (flag) =>
  [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ').includes(flag.split('=')[0]);
const missing = limits.filter((flag) => !own(flag));
if (process.argv[2] === 'serve' && missing.length > 0 && typeof process.execve === 'function') {
  // The same process id: a supervisor sees no child.
  process.execve(process.execPath, [
    process.execPath,
    ...process.execArgv,
    ...missing,
    ...process.argv.slice(1),
  ]);
}
await import('../dist/main.js');
