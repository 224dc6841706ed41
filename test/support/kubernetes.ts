// A real Kubernetes API for a test: etcd and kube-apiserver on loopback, driven by a real kubectl. There are no nodes.
import { execFile } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { KubernetesParts } from '../../tools/parts/kubernetes.ts';
import { freePorts } from './ports.ts';
import { type StartedProcess, startProcess } from './process.ts';

const READY_MS = 60_000;

export interface Kubernetes {
  readonly folder: string;
  readonly kubeconfig: string;
  /** Of service account tokens; its discovery document and keys are served by the API itself. */
  readonly issuer: string;
  /** PEM of the API's certificate. */
  readonly ca: string;
  /** Standard output of `kubectl ARGS`; `input` goes to its standard input. Rejects with what it said. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** The stored object. */
  get<T>(...args: string[]): Promise<T>;
  /** With the service account that a controller would make. */
  createNamespace(name: string, labels?: Readonly<Record<string, string>>): Promise<void>;
  stop(): Promise<void>;
}

export async function startKubernetes(parts: KubernetesParts): Promise<Kubernetes> {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-kubernetes-'));
  const [client, peer, api] = (await freePorts(3)) as [number, number, number];
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const signing = file('sa.key', keys.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string);
  const verifying = file('sa.pub', keys.publicKey.export({ type: 'spki', format: 'pem' }) as string);
  const token = createSign('sha256').update(folder).sign(keys.privateKey).toString('base64url').slice(0, 32);
  const tokens = file('tokens.csv', `${token},admin,admin,system:masters\n`);
  const issuer = `https://127.0.0.1:${api}`;
  const etcd = await startProcess(
    parts.etcd,
    [
      ...['--data-dir', join(folder, 'etcd'), '--log-level', 'error'],
      ...['--listen-client-urls', `http://127.0.0.1:${client}`],
      ...['--advertise-client-urls', `http://127.0.0.1:${client}`],
      ...[
        '--listen-peer-urls',
        `http://127.0.0.1:${peer}`,
        '--initial-cluster',
        `default=http://127.0.0.1:${peer}`,
      ],
      ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
      // What is lost with the machine was a test's.
      '--unsafe-no-fsync',
    ],
    { name: 'etcd' },
  );
  const apiserver = await startProcess(
    parts.apiserver,
    [
      ...['--etcd-servers', `http://127.0.0.1:${client}`, '--bind-address', '127.0.0.1'],
      ...['--secure-port', String(api), '--cert-dir', join(folder, 'certs')],
      ...['--service-account-issuer', issuer, '--service-account-jwks-uri', `${issuer}/openid/v1/jwks`],
      ...['--service-account-key-file', verifying, '--service-account-signing-key-file', signing],
      ...['--service-cluster-ip-range', '10.96.0.0/16', '--token-auth-file', tokens],
      ...['--authorization-mode', 'RBAC', '--allow-privileged'],
    ],
    { name: 'kube-apiserver' },
  );
  const kubeconfig = file(
    'kubeconfig',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'test',
          cluster: {
            server: `https://127.0.0.1:${api}`,
            'certificate-authority': join(folder, 'certs/apiserver.crt'),
          },
        },
      ],
      users: [{ name: 'admin', user: { token } }],
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      'current-context': 'test',
    }),
  );

  async function kubectl(args: readonly string[], input?: string): Promise<string> {
    const running = promisify(execFile)(parts.kubectl, ['--kubeconfig', kubeconfig, ...args], {
      maxBuffer: 32 << 20,
      timeout: 60_000,
    });
    running.child.stdin?.end(input ?? '');
    return (await running).stdout;
  }

  await ready(apiserver, () => kubectl(['get', '--raw', '/readyz']));
  return {
    folder,
    kubeconfig,
    issuer,
    ca: join(folder, 'certs/apiserver.crt'),
    kubectl,
    get: async (...args) => JSON.parse(await kubectl(['get', ...args, '-o', 'json'])),
    async createNamespace(name, labels = {}) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
      await kubectl(['create', '-f', '-'], JSON.stringify(namespace));
      await kubectl(['create', 'serviceaccount', 'default', '-n', name]);
    },
    async stop() {
      await apiserver.stop();
      await etcd.stop();
    },
  };
}

async function ready(apiserver: StartedProcess, probe: () => Promise<string>): Promise<void> {
  const deadline = Date.now() + READY_MS;
  for (;;) {
    const answer = await probe().catch((error: Error) => error.message);
    if (answer === 'ok') return;
    if (Date.now() > deadline)
      throw new Error(`kube-apiserver is not ready: ${answer}\n${apiserver.output()}`);
    await sleep(250);
  }
}
