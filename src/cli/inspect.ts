// bearerd inspect: what a token says, offline. Nothing is verified and nothing is sent.
import { text } from 'node:stream/consumers';
import { inspectToken } from '../inbound/inspection.ts';
import { systemClock } from '../lib/clock.ts';
import { printable } from '../lib/printable.ts';
import { parseArguments } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const inspect: Command = {
  help: `Usage: bearerd inspect TOKEN
       bearerd inspect -          reads the token from standard input, so that it stands in no list of processes

Shows header, claims and times of a JWT in words, and what would be refused whoever verifies it. Offline: its signature is
not verified; "bearerd verify" asks a running bearerd.

Exit code 0 = nothing speaks against it, 1 = it would be refused.
`,
  async run(args, { out }) {
    const { positionals } = parseArguments(args, []);
    const [given, ...rest] = positionals;
    if (given === undefined || rest.length > 0) throw new UsageError('expected one TOKEN');
    const token = (given === '-' ? await text(process.stdin) : given).trim().replace(/^Bearer /i, '');
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
