// The runnable example of a section of a document: its fences with a file name, written into a folder.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

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
  const section = readFileSync(document, 'utf8')
    .split(/^## /m)
    .find((text) => text.startsWith(`${heading}\n`));
  if (section === undefined) throw new Error(`${document} has no section ${heading}`);
  const folder = await mkdtemp(join(tmpdir(), 'bearerd-docs-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const places: Readonly<Record<string, string>> = {
    '/run/bearerd': folder,
    '/var/run/secrets': folder,
    '/usr/local/bin': folder,
    '127.0.0.1:9193': '127.0.0.1:0',
    ...replace,
  };
  let files = 0;
  for (const [, name, body] of section.matchAll(/^```\w+ (\S+)\n([\s\S]*?)^```/gm)) {
    let text = body!;
    for (const [from, to] of Object.entries(places)) text = text.replaceAll(from, to);
    await writeFile(join(folder, name!), text, { mode: 0o700 });
    files++;
  }
  if (files === 0) throw new Error(`section ${heading} of ${document} has no example`);
  return { folder, configFile: join(folder, 'bearerd.yaml') };
}
