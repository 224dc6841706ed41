// helm, which renders charts.
import { join } from 'node:path';
import { builtGoProgram, goProgram } from './go.ts';

const MODULE = join(import.meta.dirname, 'helm');

/** Path of the program, version 3.22.0 as pinned in helm/go.sum: up to three minutes. */
export function buildHelm(): Promise<string> {
  return goProgram('helm', MODULE, 'helm.sh/helm/v3/cmd/helm');
}

/** undefined where it was not built yet. */
export function builtHelm(): Promise<string | undefined> {
  return builtGoProgram('helm', MODULE);
}
