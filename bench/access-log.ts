// What access_log: full costs: the generated configuration of the check door with it and without.
import { type Figure, figureOf, type Skipped } from './figure.ts';
import { hasWrk } from './load/wrk.ts';
import { sideBySide } from './side-by-side.ts';

export async function accessLog(): Promise<readonly (Figure | Skipped)[]> {
  if (!(await hasWrk())) return [{ skipped: 'access_log_full_vs_refusals', why: 'wrk is missing' }];
  const { full, refusals } = await sideBySide({
    full: { door: 'check', settings: 'access_log: full\n' },
    refusals: { door: 'check', settings: 'access_log: refusals\n' },
  });
  const more = (of: 'cpus' | 'envoyCpus') => full[of].map((n, i) => n - refusals[of][i]!);
  return [
    figureOf(
      'access_log_full_vs_refusals',
      full.rates.map((rate, i) => rate / refusals.rates[i]!),
      'ratio',
    ),
    figureOf('access_log_full_cpu', more('cpus'), 'us/request more in bearerd'),
    figureOf('access_log_full_envoy_cpu', more('envoyCpus'), 'us/request more in Envoy'),
  ];
}
