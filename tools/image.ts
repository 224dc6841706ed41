// Lays out the file system of the container image: Node, the libraries that it loads, and bearerd. No shell, no package
// manager, nothing that is not run.   node tools/image.ts FOLDER
import { execFile } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, readdir, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const folder = process.argv[2];
if (folder === undefined) throw new Error('expected a folder');

// `ldd` names the loader without an arrow, and linux-vdso without a path.
const { stdout } = await promisify(execFile)('ldd', [process.execPath]);
const libraries = [...stdout.matchAll(/(\/\S+)(?= \(0x)/g)].map((match) => match[1]!);

async function place(from: string, to: string): Promise<void> {
  const target = join(folder!, to);
  await mkdir(dirname(target), { recursive: true });
  await copyFile(await realpath(from), target);
}

await place(process.execPath, '/usr/bin/node');
for (const library of libraries) await place(library, library);
for (const part of ['bin', 'dist']) await cp(part, join(folder, 'app', part), { recursive: true });
for (const file of ['package.json', 'LICENSE']) await place(file, `/app/${file}`);
await mkdir(join(folder, 'etc'), { recursive: true });
// For what looks up its own name.
await writeFile(join(folder, 'etc/passwd'), 'bearerd:x:65532:65532::/:/sbin/nologin\n');
await writeFile(join(folder, 'etc/group'), 'bearerd:x:65532:\n');

// It runs as another user than the one who built it, whose files may be for that one alone.
const entries = await readdir(folder, { recursive: true });
for (const path of ['', ...entries].map((entry) => join(folder, entry))) {
  const { mode } = await stat(path);
  await chmod(path, mode & 0o100 ? 0o755 : 0o644);
}
