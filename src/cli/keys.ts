// bearerd keys: the ring file of api_keys by hand. The serving process follows the file; nothing else is told.
import { realpath, stat } from 'node:fs/promises';
import { keyNotices } from '../key-ring/choice.ts';
import { applyChanges, EditFault, type KeyVerb, planChanges } from '../key-ring/edit.ts';
import { unifiedPatch } from '../key-ring/patch.ts';
import { parseKeyRing, RingFault, type RingKey } from '../key-ring/ring.ts';
import { systemClock } from '../lib/clock.ts';
import { writeDurably } from '../lib/durable-file.ts';
import { CredentialError } from '../lib/errors.ts';
import { acquireHolderLock, NotHeldError } from '../lib/holder-lock.ts';
import { printable } from '../lib/printable.ts';
import { readSecretFile } from '../lib/secret-ref.ts';
import { oneVerb, parseArguments } from './arguments.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';

const VERBS = ['list', 'activate', 'suspend', 'revoke'] as const;

export const keys: Command = {
  help: `Usage: bearerd keys list FILE
       bearerd keys activate|suspend|revoke FILE ID [--print]

Lists the API keys of a ring file (never their values), or changes the state of one. Only the word of the state is
replaced: comments and layout stay. bearerd follows the file within two seconds.

  activate   one step: generated or suspended becomes activated, that is ready beside the one in use; activated becomes
             in_use, and the one in use until then stays activated beside it
  suspend    is used no more, until it is activated
  revoke     is never used again

Options:
  --print    print the change as a patch instead of making it, for files that lie in a repository

Examples:
  bearerd keys list ring.yaml
  bearerd keys activate ring.yaml march --print

Exit code 0 = done, 1 = not allowed, or the file cannot be used.
`,
  async run(args, context) {
    const { positionals, switches } = parseArguments(args, [], ['print']);
    const [given, file, id, ...rest] = positionals;
    const verb = oneVerb(given, VERBS);
    if (file === undefined) throw new UsageError('expected FILE');
    if (verb === 'list' ? id !== undefined : id === undefined || rest.length > 0) {
      throw new UsageError(verb === 'list' ? 'expected one FILE' : `expected "${verb} FILE ID"`);
    }
    try {
      if (verb === 'list') {
        context.out(listing(parseKeyRing(await readSecretFile(file), file), systemClock.now()));
      } else await change(verb, file, id!, switches.has('print'), context);
      return 0;
    } catch (error) {
      if (!(error instanceof RingFault || error instanceof EditFault || error instanceof CredentialError))
        throw error;
      context.err(`bearerd keys: ${printable(error.message)}\n`);
      return 1;
    }
  },
};

async function change(
  verb: KeyVerb,
  file: string,
  id: string,
  print: boolean,
  { out, err }: CommandContext,
): Promise<void> {
  // A link stays a link: its target is replaced. One that is away is told by who reads it.
  const target = await realpath(file).catch(() => file);
  // From the reading to the writing: of two at a time the later one would undo what the other did.
  const lock = print ? undefined : await acquireHolderLock(target).catch(notHeld);
  try {
    const text = await readSecretFile(target);
    const changes = planChanges(parseKeyRing(text, file), verb, id, systemClock.now());
    const edited = applyChanges(text, changes);
    const after = parseKeyRing(edited, file);
    if (print) out(unifiedPatch(file, text, edited));
    else {
      await write(target, edited).catch(({ code }: NodeJS.ErrnoException) => {
        throw new EditFault(`${file} cannot be written: ${code ?? 'unknown fault'}; ${OTHERWISE}`);
      });
      for (const { key, to } of changes) out(`${key.id}: ${key.state} -> ${to}\n`);
    }
    if (!after.some(({ state }) => state === 'activated' || state === 'in_use')) {
      err('no key is activated or in use now: requests will be refused\n');
    }
  } finally {
    await lock?.release();
  }
}

const OTHERWISE = '--print gives the change as a patch';

function notHeld(error: unknown): never {
  if (!(error instanceof NotHeldError)) throw error;
  throw new EditFault(`${error.message}; try again, or ${OTHERWISE}`);
}

/** Whoever changes it, it stays its owner's: the serving process must be able to read it. */
async function write(target: string, text: string): Promise<void> {
  const { mode, uid, gid } = await stat(target);
  await writeDurably(target, text, mode & 0o777, { uid, gid });
}

function listing(ring: readonly RingKey[], now: number): string {
  const date = (at: number) =>
    Number.isFinite(at) ? new Date(at).toISOString().replace('.000Z', 'Z') : 'never';
  const rows = [
    ['id', 'state', 'not before', 'expires', 'notices'],
    ...ring.map((key) => [
      key.id,
      key.state,
      date(key.notBefore),
      date(key.expiresAt),
      keyNotices(key, now).join(', ').replaceAll('_', ' '),
    ]),
  ];
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
