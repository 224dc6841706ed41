// A real Kubernetes API without nodes: etcd, kube-apiserver and kubectl. Building takes minutes, so it has a command of its
// own (npm run parts:kubernetes); tests use what is there and are skipped by name otherwise.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { debianPackage } from './debian.ts';
import { builtGoProgram, goProgram } from './go.ts';

const MODULE = join(import.meta.dirname, 'kubernetes');
const BUILD = { timeoutMs: 3_600_000 };

export interface KubernetesParts {
  readonly etcd: string;
  readonly apiserver: string;
  readonly kubectl: string;
}

/** Version 1.37.2 as pinned in kubernetes/go.sum: about seven minutes. */
export async function buildKubernetes(): Promise<KubernetesParts> {
  return {
    etcd: await etcd(),
    apiserver: await goProgram('kube-apiserver', MODULE, 'k8s.io/kubernetes/cmd/kube-apiserver', BUILD),
    kubectl: await goProgram('kubectl', MODULE, 'k8s.io/kubernetes/cmd/kubectl', BUILD),
  };
}

/** undefined where it was not built yet. */
export async function kubernetesParts(): Promise<KubernetesParts | undefined> {
  const apiserver = await builtGoProgram('kube-apiserver', MODULE);
  const kubectl = await builtGoProgram('kubectl', MODULE);
  return apiserver && kubectl ? { etcd: await etcd(), apiserver, kubectl } : undefined;
}

/** The API as OpenAPI, in the module's own folder, which Go keeps and checks. */
export async function openApi(): Promise<string> {
  const list = ['list', '-m', '-f', '{{.Dir}}', 'k8s.io/kubernetes'];
  const { stdout } = await promisify(execFile)('go', list, { cwd: MODULE });
  return join(stdout.trim(), 'api/openapi-spec/swagger.json');
}

async function etcd(): Promise<string> {
  return join(await debianPackage('etcd-server'), 'usr/bin/etcd');
}
