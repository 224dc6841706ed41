// The generator's process, from outside.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../../test/support/process.ts';
import type { BenchWorld } from '../world.ts';

export interface Load {
  /** Calls a second of so many calls. Rejects at a wrong answer. */
  run(calls: number): Promise<number>;
  stop(): Promise<unknown>;
}

const CONNECTIONS = 4;
const CALLERS = 32;

export async function startLoad(world: BenchWorld, socket: string, folder: string): Promise<Load> {
  const file = join(folder, 'requests.json');
  const stored = world.requests.map(({ message, token }) => ({
    message: Buffer.from(message).toString('base64'),
    token,
  }));
  writeFileSync(file, JSON.stringify(stored));
  const generator = await startProcess(
    process.execPath,
    [join(import.meta.dirname, 'generator.ts'), socket, file, String(CONNECTIONS), String(CALLERS)],
    { name: 'load', stdin: true },
  );
  await generator.waitForOutput(/^ready/m);
  let told = 0;
  return {
    async run(calls) {
      generator.child.stdin!.write(`${calls}\n`);
      told++;
      const [line] = await generator.waitForOutput(
        new RegExp(`(?:^\\{.*\\}\\n[^]*?){${told}}`, 'm'),
        120_000,
      );
      const last = line.trimEnd().split('\n').at(-1)!;
      const result: { seconds?: number; calls?: number; error?: string } = JSON.parse(last);
      if (result.error !== undefined) throw new Error(`load on ${socket}: ${result.error}`);
      return result.calls! / result.seconds!;
    },
    stop: () => generator.stop(),
  };
}
