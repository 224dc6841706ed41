// The servers that are compared: ours as it is deployed, and the usual ones with the same policies.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StartedProcess, startProcess } from '../test/support/process.ts';
import { goProgram, hasGo } from '../tools/parts/go.ts';
import { hasRust, rustProgram } from '../tools/parts/rust.ts';
import type { BenchWorld } from './world.ts';

export interface BenchServer {
  readonly name: string;
  readonly socket: string;
  readonly process: StartedProcess;
  /** See processorTime. */
  cpu(): number;
  /** VmRSS, MB. */
  rss(): number;
}

/** `…_encoded`: answers encoded in advance. */
export type ServerName = 'ours' | 'ours_node' | 'go' | 'go_encoded' | 'rust' | 'rust_encoded' | 'grpcjs';

/** Undefined: there is nothing on this machine to build it with. */
export async function startServer(
  name: ServerName,
  world: BenchWorld,
  folder: string,
): Promise<BenchServer | undefined> {
  const socket = join(folder, `${name}.sock`);
  const command = await commandOf(name, world, folder, socket);
  if (command === undefined) return undefined;
  const [program, args, env] = command;
  const process_ = await startProcess(program, args, { name, env: { ...process.env, ...env } });
  await process_.waitForOutput(/"listener":"check","state":"listening"|^listening|listening$/m, 30_000);
  return {
    name,
    socket,
    process: process_,
    cpu: () => processorTime(process_.pid),
    rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${process_.pid}/status`, 'utf8'))![1]) / 1024,
  };
}

/** utime + stime since the process began, microseconds. The kernel counts in steps of 10 ms. */
export function processorTime(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(stat[11]) + Number(stat[12])) * 10_000;
}

type Command = readonly [program: string, args: string[], env?: NodeJS.ProcessEnv];

async function commandOf(
  name: ServerName,
  world: BenchWorld,
  folder: string,
  socket: string,
): Promise<Command | undefined> {
  if (name === 'ours' || name === 'ours_node') {
    const front = name === 'ours' ? 'raw' : 'node';
    const config = join(folder, `${name}.yaml`);
    const listen = `{ check: { address: "unix://${socket}", front: ${front} } }`;
    writeFileSync(config, `version: 1\nlisten: ${listen}\n${world.configuration}`);
    return [process.execPath, [join(import.meta.dirname, '../bin/bearerd.js'), 'serve', '--config', config]];
  }
  const policies = join(folder, 'policies.json');
  writeFileSync(policies, JSON.stringify(world.policies));
  const [peer, mode = 'usual'] = name.split('_') as ['go' | 'rust' | 'grpcjs', 'encoded'?];
  const source = join(import.meta.dirname, 'peers', { go: 'go', rust: 'tonic', grpcjs: 'grpc-js' }[peer]);
  if (peer === 'grpcjs') return [process.execPath, [join(source, 'main.ts'), socket, policies]];
  if (peer === 'go') {
    if (!(await hasGo())) return undefined;
    // One processor, as a sidecar has at best: more of them only cost more (design measurements, and ours).
    return [await goProgram('bench-go', source, '.'), [socket, policies, mode], { GOMAXPROCS: '1' }];
  }
  return (await hasRust()) ? [await rustProgram('bench-tonic', source), [socket, policies, mode]] : undefined;
}
