// The Helm chart as helm renders it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export const CHART = 'k8s/chart/bearerd';

/** Standard output of `helm template` into the namespace bearerd-system. Rejects with what helm said. */
export async function renderChart(helm: string, values: object = {}): Promise<string> {
  const running = promisify(execFile)(
    helm,
    [
      ...['template', 'bearerd', CHART, '--namespace', 'bearerd-system', '--kube-version', '1.37.0'],
      ...['--values', '-'],
    ],
    { timeout: 60_000 },
  );
  running.child.stdin?.end(JSON.stringify(values));
  return (await running).stdout;
}
