// The command line inside this process: what was said, and the exit code.
import { runCommandLine } from '../../src/cli/run.ts';
import { parseRuntime } from '../../src/lib/runtime.ts';

export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  /** Both, in the order in which they came. */
  readonly all: string;
}

const runtime = parseRuntime({}, process.versions.node, true);

export async function bearerd(...args: string[]): Promise<Said> {
  const said = { out: '', err: '', all: '' };
  const take = (where: 'out' | 'err') => (text: string) => {
    said[where] += text;
    said.all += text;
  };
  const code = await runCommandLine(args, {
    ...{ env: {}, version: 'test', runtime, clear: undefined, onReload: () => {} },
    ...{ out: take('out'), err: take('err'), ended: new AbortController().signal },
  });
  return { code, ...said };
}
