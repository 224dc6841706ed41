// bearerd audit verify: whether an audit trail is whole.
import { basename, dirname, join } from 'node:path';
import { fileFault } from '../lib/file-fault.ts';
import { Secret } from '../lib/secret.ts';
import { readSecretFile } from '../lib/secret-ref.ts';
import { rotatedFiles } from '../telemetry/audit/audit-file.ts';
import type { ChainHead, RecordFault } from '../telemetry/audit/chain.ts';
import { verifyChain } from '../telemetry/audit/verify.ts';
import { oneVerb, parseArguments, required } from './arguments.ts';
import { type Command, InputError, UsageError } from './command.ts';
import { inputLines } from './input.ts';

const FAULTS: Readonly<Record<RecordFault, string>> = {
  not_a_record: 'is no audit record with a MAC',
  wrong_mac: 'was changed, or written with another key',
  gap: 'does not follow: records before it are missing',
  not_after_the_last: 'does not belong after the record before it',
};

export const audit: Command = {
  help: `Usage: bearerd audit verify FILE --key KEYFILE [--head SEQ:MAC]

Reads the audit trail that FILE ends, with the rotated files beside it, and tells each record that was changed, removed
or inserted. A tail that was cut off shows only against a head from the log ("head of the audit chain", once a minute).

Options:
  --key KEYFILE    file with the key of audit.key
  --head SEQ:MAC   auditHead of a log line: this record must be there

Example:
  bearerd audit verify /var/log/bearerd/audit.jsonl --key audit.key

Exit code 0 = whole, 1 = not.
`,
  async run(args, { out }) {
    const parsed = parseArguments(args, ['key', 'head']);
    const [verb, file, ...rest] = parsed.positionals;
    oneVerb(verb, ['verify']);
    if (file === undefined || rest.length > 0) throw new UsageError('expected verify FILE');
    const head = parsed.flags['head'] === undefined ? undefined : parseHead(parsed.flags['head']);
    const key = new Secret(
      (await readSecretFile(required(parsed, 'key')).catch(refuse)).replace(/\r?\n$/, ''),
    );
    const rotated = await rotatedFiles(file).catch((error) =>
      refuse(`${file} cannot be read: ${fileFault(error)}`),
    );
    const files = [...rotated, basename(file)].map((name) => join(dirname(file), name));
    const report = await verifyChain(linesOf(files), key, head);
    for (const { file: at, line, fault } of report.faults)
      out(`${at}:${line}: this record ${FAULTS[fault]}\n`);
    if (report.faultsLeftOut > 0) out(`and ${report.faultsLeftOut} more\n`);
    if (report.headHolds === false)
      out(`the record ${head!.seq} of --head is not there: the tail was cut off\n`);
    const whole = report.faults.length === 0 && report.headHolds !== false && report.records > 0;
    const range = report.last === undefined ? '' : `, ${report.first} to ${report.last.seq}`;
    out(`${report.records} records${range}: ${whole ? 'whole' : 'NOT whole'}\n`);
    return whole ? 0 : 1;
  },
};

function refuse(error: Error | string): never {
  throw new InputError(typeof error === 'string' ? error : error.message);
}

async function* linesOf(files: readonly string[]) {
  for (const file of files) {
    let line = 0;
    for await (const text of inputLines(file)) yield { file, line: ++line, text };
  }
}

function parseHead(text: string): ChainHead {
  const match = /^(\d{1,15}):([\w-]{43})$/.exec(text);
  if (!match) throw new UsageError('--head is SEQ:MAC, as auditHead stands in the log');
  return { seq: Number(match[1]), mac: match[2]! };
}
