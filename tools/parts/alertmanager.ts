// Alertmanager as Debian builds it. That build reads its templates from /usr/share, where nothing is installed here: in our
// copy the path is one of the same length below the working directory.
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { debianPackage } from './debian.ts';

const PLACE = '/usr/share/prometheus/alertmanager';
const HERE = './'.repeat(PLACE.length / 2);

export interface AlertmanagerProgram {
  readonly program: string;
  /** It has to be started there. */
  readonly folder: string;
}

/** Throws where it cannot be had. */
export async function alertmanager(): Promise<AlertmanagerProgram> {
  const debian = await debianPackage('prometheus-alertmanager');
  const folder = await cached('alertmanager-0.25.0', async (temporary) => {
    const binary = await readFile(join(debian, 'usr/bin/prometheus-alertmanager'));
    // Strings of Go stand side by side, without an end; the other two go on with the name of a folder.
    const at = binary.indexOf(PLACE);
    if (at === -1 || binary[at + PLACE.length] === 0x2f)
      throw new Error(`alertmanager: no ${PLACE} of its own`);
    binary.write(HERE, at);
    const program = join(temporary, 'alertmanager');
    await writeFile(program, binary);
    await chmod(program, 0o755);
    for (const name of ['default.tmpl', 'email.tmpl'])
      await copyFile(join(debian, PLACE, name), join(temporary, name));
  });
  return { program: join(folder, 'alertmanager'), folder };
}
