// One core for the process that is measured, the other ones for whatever drives it: three busy processes on two cores measure
// the kernel's choices too.
import { execFile } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * `measured` gets the last core, `others` and what this process starts from now on the first ones. Returns what undoes it for
 * this process. Changes nothing on a machine with one core or without util-linux.
 */
export async function onCoresOfTheirOwn(
  measured: number,
  others: readonly number[],
): Promise<() => Promise<void>> {
  const last = availableParallelism() - 1;
  if (last === 0) return async () => {};
  const pin = (pid: number, cores: string) => run('taskset', ['-acp', cores, String(pid)]).catch(() => {});
  await pin(measured, String(last));
  for (const pid of [...others, process.pid]) await pin(pid, `0-${last - 1}`);
  return async () => void (await pin(process.pid, `0-${last}`));
}
