// The runnable example of a section of a document: its fences with a file name, written into a folder.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { blocksBelow } from './doc-blocks.ts';

export interface DocExample {
  readonly folder: string;
  readonly configFile: string;
}

/**
 * Writes the files of section `heading`, for example of the fence "```yaml bearerd.yaml". Places of a real machine become
 * the folder: /run/bearerd, /var/run/secrets, /usr/local/bin; `replace` may give further ones.
 */
export async function writeDocExample(
  t: TestContext,
  document: string,
  heading: string,
  replace: Readonly<Record<string, string>> = {},
): Promise<DocExample> {
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-docs-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const files = blocksBelow(document, heading).filter(({ name }) => name !== '');
  for (const { name, text } of files) {
    await writeFile(join(folder, name), inFolder(text, folder, replace), { mode: 0o700 });
  }
  if (files.length === 0) throw new Error(`section ${heading} of ${document} has no example`);
  return { folder, configFile: join(folder, 'bearerd.yaml') };
}

/** `text` with the places of a real machine in `folder`. */
export function inFolder(
  text: string,
  folder: string,
  replace: Readonly<Record<string, string>> = {},
): string {
  const places: Readonly<Record<string, string>> = {
    '/run/bearerd': folder,
    '/var/run/secrets': folder,
    '/usr/local/bin': folder,
    '127.0.0.1:9193': '127.0.0.1:0',
    '0.0.0.0:9193': '127.0.0.1:0',
    ...replace,
  };
  return Object.entries(places).reduce((all, [from, to]) => all.replaceAll(from, to), text);
}
