// Custom resource definitions of the operators whose objects are generated: cert-manager 1.20.0, prometheus-operator 0.85.0.
// They lie in the modules' own folders, which Go fetches, keeps and checks by crds/go.sum.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const FILES: Readonly<Record<string, readonly string[]>> = {
  'github.com/cert-manager/cert-manager': [
    'deploy/crds/cert-manager.io_certificates.yaml',
    'deploy/crds/cert-manager.io_issuers.yaml',
  ],
  'github.com/prometheus-operator/prometheus-operator': [
    'example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml',
    'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml',
  ],
};

/** Paths of the files. */
export async function otherCrds(): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', ...Object.keys(FILES)], {
    cwd: join(import.meta.dirname, 'crds'),
  });
  const modules = JSON.parse(`[${stdout.replaceAll(/^\}\n\{/gm, '},{')}]`) as { Path: string; Dir: string }[];
  return modules.flatMap(({ Path, Dir }) => FILES[Path]!.map((file) => join(Dir, file)));
}
