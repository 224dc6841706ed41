// Commands of a document, run as a reader would type them: by sh, with bearerd and npx as they are after `npm ci`.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { DocBlock } from './doc-blocks.ts';
import { inFolder } from './doc-example.ts';
import { type StartedProcess, startProcess } from './process.ts';

const ROOT = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 60_000;
/** The last of its listeners. */
const LISTENS = /"listener":"(health|xds|check_inbound)","state":"listening"/;

/** What each line of a block wrote, standard error included. */
export type Said = readonly string[];

export interface RunOptions {
  /** By line: what it says when it waits for a person. */
  readonly waiting?: readonly RegExp[];
  /** Scripts by the name of what they stand for. */
  readonly programs?: Readonly<Record<string, string>>;
}

/**
 * Runs the lines of `block` one after the other in `folder`, each of which must end with 0. `serve` stays running until
 * the test ends, and counts as run when it listens; so does a line that waits for a person, when it has said `waiting`.
 */
export async function runBlock(
  t: TestContext,
  block: DocBlock,
  folder: string,
  { waiting = [], programs = {} }: RunOptions = {},
): Promise<Said> {
  const bin = join(folder, '.bin');
  mkdirSync(bin, { recursive: true });
  const bearerd = `exec ${process.execPath} ${join(ROOT, 'bin/bearerd.js')} "$@"`;
  const scripts = { bearerd, npx: '[ "$1" = bearerd ] && exec "$@"', ...programs };
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  const said: string[] = [];
  for (const [i, line] of inFolder(block.text, folder).trim().split('\n').entries()) {
    const until = /\bbearerd serve\b/.test(line) ? LISTENS : waiting[i];
    // So that a signal reaches it and not a shell in between.
    const command = until === undefined ? line : `exec ${line}`;
    const started = await startProcess('sh', ['-e', '-c', command], {
      name: line,
      cwd: folder,
      env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
    });
    t.after(() => started.stop());
    if (until === undefined) await ended(started, line);
    else await started.waitForOutput(until);
    said.push(started.output());
  }
  return said;
}

async function ended(started: StartedProcess, line: string): Promise<void> {
  const timer = setTimeout(() => void started.stop(0), TIMEOUT_MS);
  const { code } = await started.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`${line} ended with ${code}:\n${started.output()}`);
}
