// HTTP/1.1 load through Envoy by wrk: thousands of distinct requests, every answer a 200.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BenchWorld } from '../world.ts';

const run = promisify(execFile);

export interface HttpRate {
  readonly perSecond: number;
  readonly requests: number;
  readonly meanUs: number;
}

export interface HttpLoad {
  rate(port: number, seconds: number, connections: number): Promise<HttpRate>;
}

export function hasWrk(): Promise<boolean> {
  // It ends with 1 when it is asked for its version.
  return run('wrk', ['--version']).then(
    () => true,
    (error: { code?: unknown }) => error.code === 1,
  );
}

export function httpLoad(world: Pick<BenchWorld, 'requests'>, folder: string): HttpLoad {
  const script = join(folder, 'requests.lua');
  const entries = world.requests.map(
    ({ host, path }) => `  { ${JSON.stringify(host)}, ${JSON.stringify(path)} },\n`,
  );
  writeFileSync(
    script,
    `local requests = {\n${entries.join('')}}
local made, next = {}, 0
init = function()
  for i, r in ipairs(requests) do
    made[i] = wrk.format("GET", r[2], { Host = r[1], ["x-request-id"] = "bench-" .. i })
  end
end
request = function()
  next = next % #made + 1
  return made[next]
end
`,
  );
  return {
    async rate(port, seconds, connections) {
      const { stdout } = await run('wrk', [
        ...['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', script],
        `http://127.0.0.1:${port}/`,
      ]);
      if (/Non-2xx|Socket errors/.test(stdout)) throw new Error(`not every answer was a 200:\n${stdout}`);
      const [, mean, unit] = /Latency\s+([\d.]+)(us|ms|s)/.exec(stdout)!;
      return {
        perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
        requests: Number(/(\d+) requests in/.exec(stdout)![1]),
        meanUs: Number(mean) * { us: 1, ms: 1_000, s: 1_000_000 }[unit as 'us' | 'ms' | 's'],
      };
    },
  };
}
