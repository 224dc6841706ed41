// Istio's control plane and its checker. Building takes minutes: npm run parts:kubernetes.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builtGoProgram, goProgram } from './go.ts';

const MODULE = join(import.meta.dirname, 'istio');
const BUILD = { timeoutMs: 3_600_000 };

export interface IstioParts {
  /** istiod. */
  readonly pilot: string;
  readonly istioctl: string;
  /** Istio's custom resource definitions, one YAML file. */
  readonly crds: string;
}

/** The commit that istio/go.sum pins: about ten minutes. */
export async function buildIstio(): Promise<IstioParts> {
  return {
    pilot: await goProgram('pilot-discovery', MODULE, 'istio.io/istio/pilot/cmd/pilot-discovery', BUILD),
    istioctl: await goProgram('istioctl', MODULE, 'istio.io/istio/istioctl/cmd/istioctl', BUILD),
    crds: await crds(),
  };
}

/** undefined where it was not built yet. */
export async function istioParts(): Promise<IstioParts | undefined> {
  const pilot = await builtGoProgram('pilot-discovery', MODULE);
  const istioctl = await builtGoProgram('istioctl', MODULE);
  return pilot && istioctl ? { pilot, istioctl, crds: await crds() } : undefined;
}

/** They lie in the module's own folder, which Go keeps and checks. */
async function crds(): Promise<string> {
  const { stdout } = await promisify(execFile)('go', ['list', '-m', '-f', '{{.Dir}}', 'istio.io/istio'], {
    cwd: MODULE,
  });
  return join(stdout.trim(), 'manifests/charts/base/files/crd-all.gen.yaml');
}
