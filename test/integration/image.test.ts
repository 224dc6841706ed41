// The file system of the container image, run as a container would see it. No container engine is needed for that.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { parseSidecarFile } from '../../src/config/sidecar-file.ts';
import { buildSidecar } from '../../src/kubernetes/sidecar.ts';
import { startProcess } from '../support/process.ts';

const run = promisify(execFile);

/** Why this process may not make a container's surroundings; undefined = it may. */
function obstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'chroot needs root';
  try {
    execFileSync('unshare', ['-pfm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return undefined;
  } catch {
    return 'namespaces and mounts are refused here';
  }
}

const dockerfile = readFileSync('Dockerfile', 'utf8');
const [, entryPointText] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile)!;
const entryPoint = JSON.parse(entryPointText!) as readonly string[];
const env = [...dockerfile.matchAll(/^ENV (\S+=\S+)$/gm)].map(([, pair]) => pair!);

describe('the image', { skip: obstacle() ?? false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bearerd-image-'));
  before(async () => {
    // Whoever builds may keep files to themselves; whoever runs it is somebody else.
    await run('sh', ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, 'tools/image.ts', folder]);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('holds all that bearerd needs, and no shell', async () => {
    const inside = ['--userspec=65532:65532', folder, '/usr/bin/node', '/app/bin/bearerd.js'];
    assert.equal((await run('chroot', [...inside, '--version'])).stdout, `${manifest.version}\n`);
    assert.match((await run('chroot', [...inside, 'schema'])).stdout, /bearerd configuration/);
    assert.deepEqual(readdirSync(join(folder, 'usr/bin')), ['node']);
    assert.throws(() => readdirSync(join(folder, 'bin')), { code: 'ENOENT' });
  });

  // `generate istio` for 10,000 policies takes 2 GB, and ended within the limits of the sidecar.
  test('its entry point limits the memory of what serves, and of no other command', async () => {
    const told =
      "import v8 from 'node:v8';process.on('exit',()=>console.error(v8.getHeapStatistics().heap_size_limit))";
    const options = `--import=data:text/javascript,${encodeURIComponent(told)}`;
    const heapOf = async (...args: string[]): Promise<number> => {
      const inside = ['--userspec=65532:65532', folder, ...entryPoint, ...args];
      const { stderr } = await run('chroot', inside, {
        env: { PATH: process.env['PATH'], NODE_OPTIONS: options },
      }).catch((error: { stderr: string }) => error);
      return Number(/^\d+$/m.exec(stderr)![0]) / 2 ** 20;
    };
    for (const verb of ['serve', 'webhook']) assert.ok((await heapOf(verb, '--help')) < 300, verb);
    assert.ok((await heapOf('generate', '--help')) > 400);
  });

  // What starts itself anew has twice the time in which process 1 of a container does not notice a signal.
  test('its entry point serves as process 1 of a read-only root, as the sidecar of the manifests, and starts once', async (t) => {
    const { args, securityContext } = buildSidecar(
      parseSidecarFile('image: x:1', 'sidecar.yaml'),
    ) as unknown as {
      args: string[];
      securityContext: { runAsUser: number; runAsGroup: number };
    };
    const { runAsUser: user, runAsGroup: group } = securityContext;
    // What the kubelet mounts.
    const mounted = mkdtempSync(join(tmpdir(), 'bearerd-mounted-'));
    chmodSync(mounted, 0o755);
    for (const name of ['sockets', 'config']) mkdirSync(join(mounted, name));
    chownSync(join(mounted, 'sockets'), user, group);
    await writeFile(join(mounted, 'config/bearerd.yaml'), CONFIG);
    for (const point of ['proc', 'run/bearerd', 'etc/bearerd'])
      mkdirSync(join(folder, point), { recursive: true });
    const script = `set -e
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
mount -t proc proc "$1/proc"
mount --bind "$2/sockets" "$1/run/bearerd"
mount --bind -o ro "$2/config" "$1/etc/bearerd"
root=$1 user=$3; shift 3
exec setpriv --no-new-privs chroot --userspec="$user" "$root" "$@"`;
    const outer = await startProcess('unshare', [
      ...['-pfm', 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...env],
      ...['sh', '-c', script, 'sh', folder, mounted, `${user}:${group}`, ...entryPoint, ...args],
    ]);
    const children = () => readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8').trim();
    // `unshare` does not hand a signal on.
    t.after(async () => {
      const left = outer.child.exitCode === null ? children() : '';
      if (left !== '') process.kill(Number(left), 'SIGKILL');
      await outer.stop();
      rmSync(mounted, { recursive: true, force: true });
    });
    await outer.waitForOutput(/"listener":"admin","state":"listening"/);
    const inner = children();
    const of = (file: string) => readFileSync(`/proc/${inner}/${file}`, 'utf8');
    assert.deepEqual(
      of('cmdline').split('\0').slice(0, -1),
      [...entryPoint, ...args],
      'it was not started anew',
    );
    assert.match(of('environ'), /MALLOC_ARENA_MAX=1/);
    assert.match(
      of('status'),
      new RegExp(`^Uid:\\t${user}\\t[^]*^NSpid:\\t\\d+\\t1$[^]*^CapEff:\\t0+$[^]*^NoNewPrivs:\\t1$`, 'm'),
    );
    assert.deepEqual(readdirSync(join(mounted, 'sockets')).sort(), ['admin.sock', 'check.sock', 'xds.sock']);
    process.kill(Number(inner), 'SIGTERM');
    assert.equal((await outer.exited).code, 0, outer.output());
  });
});

const CONFIG = `version: 1
listen: { check: unix:///run/bearerd/check.sock, xds: unix:///run/bearerd/xds.sock, health: 127.0.0.1:0, admin: unix:///run/bearerd/admin.sock }
sources: { key: { static: { value: { env: KEY } } } }
`;
