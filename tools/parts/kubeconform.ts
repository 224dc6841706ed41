// kubeconform, which holds manifests against JSON schemas.
import { join } from 'node:path';
import { goProgram } from './go.ts';

/** Path of the program, version 0.8.0 as pinned in kubeconform/go.sum: seconds. */
export function kubeconformBinary(): Promise<string> {
  return goProgram(
    'kubeconform',
    join(import.meta.dirname, 'kubeconform'),
    'github.com/yannh/kubeconform/cmd/kubeconform',
  );
}
