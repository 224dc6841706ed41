// bearerd inspect: what a token says, offline. Nothing is verified and nothing is sent.
import { inspectToken } from '../inbound/inspection.ts';
import { systemClock } from '../lib/clock.ts';
import { printable } from '../lib/printable.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';
import { readInput } from './input.ts';

/** Of whatever is pasted. */
const MAX_BYTES = 1 << 20;

export const inspect: Command = {
  help: `Usage: bearerd inspect TOKEN
       bearerd inspect -          reads the token from standard input, so that it stands in no list of processes

Shows header, claims and times of a JWT in words, and what would be refused whoever verifies it. Offline: its signature is
not verified; "bearerd verify" asks a running bearerd.

Example:
  bearerd inspect - < token

Exit code 0 = nothing speaks against it, 1 = it would be refused.
`,
  async run(args, { out }) {
    const { positionals } = parseArguments(args, []);
    const [given, ...rest] = positionals;
    if (given === undefined || rest.length > 0) throw new UsageError('expected one TOKEN');
    const token = (given === '-' ? await readInput('-', MAX_BYTES) : given).trim().replace(/^Bearer /i, '');
    if (token === '') throw new UsageError('there is no token on standard input');
    const { header, claims, times, refused, notes } = inspectToken(token, systemClock.now());
    const say = (what: string, line: string) => out(`${what.padEnd(9)}${printable(line)}\n`);
    if (header !== undefined) say('header', JSON.stringify(header));
    for (const [i, line] of JSON.stringify(claims, null, 2)?.split('\n').entries() ?? [])
      say(i === 0 ? 'claims' : '', line);
    for (const line of times) say('time', line);
    for (const line of notes) say('note', line);
    for (const line of refused) say('refused', line);
    if (refused.length === 0) out('         its signature was not verified\n');
    return refused.length === 0 ? 0 : 1;
  },
};
