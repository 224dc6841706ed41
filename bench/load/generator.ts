// The load: gRPC calls straight on sockets, as a process of its own. Every answer is checked: the first one to each
// request is decoded and must inject the right token, all later ones must be the same bytes.
//   node generator.ts SOCKET REQUESTS.json CONNECTIONS CALLERS   then a number of calls a line on standard input; for
//   each it writes { "seconds": … , "calls": … } or { "error": … }.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { LoadConnection, type LoadRequest } from './connection.ts';

const [socket, file, connections, callers] = process.argv.slice(2);
const stored: { message: string; token: string }[] = JSON.parse(readFileSync(file!, 'utf8'));
const requests: LoadRequest[] = stored.map(({ message, token }) => ({
  message: Buffer.from(message, 'base64'),
  token,
  answer: undefined,
}));
const open = await Promise.all(
  Array.from({ length: Number(connections) }, () => LoadConnection.open(socket!, requests, Number(callers))),
);
process.stdout.write('ready\n');

let offset = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const each = Math.ceil(Number(line) / open.length);
  const begun = performance.now();
  let told: object;
  try {
    await Promise.all(open.map((connection, i) => connection.run(each, offset + i * 523)));
    told = { seconds: (performance.now() - begun) / 1000, calls: each * open.length };
  } catch (error) {
    told = { error: (error as Error).message };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
  offset += 97;
}
process.exit();
