// The attempt door against the check door, each with the configuration that is generated for it.
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { hasWrk } from './load/wrk.ts';
import { type Side, sideBySide } from './side-by-side.ts';

export async function attempt(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'attempt_vs_check', why: 'wrk is missing' }];
  const { attempt: ours, check } = await sideBySide({
    attempt: { door: 'attempt' },
    check: { door: 'check' },
  });
  const against = (of: keyof Side) => ours[of].map((n, i) => n / check[of][i]!);
  return [
    figureOf('attempt_requests', ours.rates, 'requests/s'),
    figureOf('attempt_vs_check', against('rates'), 'ratio', '0.95 or more'),
    figureOf('attempt_cpu', ours.cpus, 'us/attempt'),
    figureOf('attempt_cpu_vs_check', against('cpus'), 'ratio'),
    figureOf('attempt_envoy_cpu_vs_check', against('envoyCpus'), 'ratio'),
  ];
}
