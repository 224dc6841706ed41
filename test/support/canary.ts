// Secrets of a run are looked for wherever bearerd writes.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { createClient } from '@redis/client';
import { startProcess } from './process.ts';

/** In plain, and as base64 would show it at each of its three places. */
export function needles(secrets: Iterable<string>): readonly string[] {
  return [...secrets].flatMap((secret) => [
    secret,
    Buffer.from(secret).toString('hex'),
    ...[0, 1, 2].map((shift) => {
      const encoded = Buffer.from(`${'.'.repeat(shift)}${secret}`).toString('base64');
      // Without what its neighbours decide.
      return encoded.slice(shift === 0 ? 0 : 4, -4);
    }),
  ]);
}

/** Fails with the place and what stands around it. */
export function assertNowhere(places: ReadonlyMap<string, string>, sought: readonly string[]): void {
  for (const [place, content] of places) {
    assert.ok(content.length > 0, `nothing in ${place}`);
    const found = sought.filter((needle) => content.includes(needle));
    assert.deepEqual(found, [], `${place}: ${excerpt(content, found[0])}`);
  }
}

function excerpt(content: string, found: string | undefined): string {
  const at = found === undefined ? -1 : content.indexOf(found);
  return at === -1 ? '' : content.slice(Math.max(0, at - 200), at + 100);
}

/** What the running bearerd of this configuration shows: the page, its data and the terminal's. */
export async function shownBy(configFile: string, socketPath: string): Promise<ReadonlyMap<string, string>> {
  const page = (path: string) =>
    new Promise<string>((resolve, reject) => {
      const outgoing = request({ socketPath, path }, (incoming) => text(incoming).then(resolve, reject));
      outgoing.on('error', reject);
      outgoing.end();
    });
  const terminal = async (...more: string[]) => {
    const asked = await startProcess(process.execPath, [
      'bin/bearerd.js',
      'status',
      '--config',
      configFile,
      ...more,
    ]);
    await asked.exited;
    return asked.output();
  };
  return new Map([
    ['the page', await page('/')],
    ['/status', await page('/status')],
    ['bearerd status', await terminal()],
    ['bearerd status --json', await terminal('--json')],
  ]);
}

const READ: Readonly<Record<string, (key: string) => string[]>> = {
  string: (key) => ['GET', key],
  stream: (key) => ['XRANGE', key, '-', '+'],
  hash: (key) => ['HGETALL', key],
  set: (key) => ['SMEMBERS', key],
  zset: (key) => ['ZRANGE', key, '0', '-1'],
  list: (key) => ['LRANGE', key, '0', '-1'],
};

/** Every key with its value. */
export async function dumpOf(port: number, password: string): Promise<string> {
  const client = createClient({ socket: { host: '127.0.0.1', port }, password });
  await client.connect();
  try {
    const lines: string[] = [];
    for (const key of await client.keys('*')) {
      const kind = await client.type(key);
      if (kind === 'none') continue; // a lease that ended meanwhile
      const read = READ[kind];
      if (read === undefined) throw new Error(`${key} is a ${kind}`);
      lines.push(`${key} ${kind} ${JSON.stringify(await client.sendCommand(read(key)))}`);
    }
    return lines.join('\n');
  } finally {
    client.destroy();
  }
}
