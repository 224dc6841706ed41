// bearerd bundle: the side of whoever signs policies for a fleet, and a look at what was signed. Nothing is fetched.
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  BundleFault,
  parsePinnedKeys,
  signBundle,
  timeProblem,
  verifyBundle,
} from '../bundle/signed-bundle.ts';
import { type ConfigText, readConfigTexts } from '../config/config-texts.ts';
import { parseDuration } from '../config/duration.ts';
import { Invalid } from '../config/invalid.ts';
import { loadConfig } from '../config/load.ts';
import { parseShape } from '../config/parse.ts';
import { systemClock } from '../lib/clock.ts';
import { parsePrivateKey } from '../lib/private-key.ts';
import { type Arguments, oneVerb, parseArguments, required } from './arguments.ts';
import { type Command, type CommandContext, UsageError } from './command.ts';
import { readInput } from './input.ts';

const HOUR_MS = 3_600_000;

export const bundle: Command = {
  help: `Usage: bearerd bundle sign PATH --key FILE --name NAME --expires-in DURATION [options]
       bearerd bundle verify BUNDLE --keys FILE --name NAME [--config LOCAL]

sign    makes a signed bundle of PATH, a file or a directory with sources and outbound policies, for policy_bundle
verify  tells whether a bearerd with these keys and this name would take BUNDLE over now

Options:
  --key FILE             private key, PEM or JWK: Ed25519, EC P-256, P-384 or P-521, or RSA of at least 2048 bits
  --keys FILE            public keys, PEM or a JWK Set, as in policy_bundle.keys
  --name NAME            for whom it is, as in policy_bundle.name
  --expires-in DURATION  how long it may be taken over, e.g. 168h; longer than any outage that a restart is to survive
  --serial N             larger than that of the bundle before; default: seconds since 1970
  --config LOCAL         also hold it against this local configuration, a file or a directory
  --output FILE          default: standard output

Examples:
  bearerd bundle sign policies/ --key sign.pem --name payments --expires-in 168h --output payments.bundle
  bearerd bundle verify payments.bundle --keys keys.pem --name payments --config bearerd.yaml

Exit code 0 = done, 1 = it has problems.
`,
  async run(args, context) {
    const [given, ...rest] = args;
    const verb = oneVerb(given, ['sign', 'verify']);
    try {
      return await (verb === 'sign' ? sign : verify)(rest, context);
    } catch (error) {
      if (error instanceof Invalid) throw new UsageError(`--expires-in: ${error.message}`);
      if (!(error instanceof BundleFault)) throw error;
      context.err(`bearerd bundle: ${error.message}\n`);
      return 1;
    }
  },
};

async function sign(args: readonly string[], { out }: CommandContext): Promise<number> {
  const parsed = parseArguments(args, ['key', 'name', 'expires-in', 'serial', 'config', 'output']);
  const path = onePositional(parsed, 'PATH');
  const name = required(parsed, 'name');
  const lifetimeMs = parseDuration(required(parsed, 'expires-in'), {
    minMs: 60_000,
    maxMs: 366 * 24 * HOUR_MS,
  });
  const now = systemClock.now();
  const serial = Number(parsed.flags['serial'] ?? Math.floor(now / 1_000));
  if (!Number.isSafeInteger(serial) || serial < 0) throw new UsageError('--serial is a whole number');
  const key = parsePrivateKey(await readInput(required(parsed, 'key')));
  if (key === undefined)
    throw new BundleFault('--key: neither a PEM private key without a password nor a JWK');
  const texts = (await readConfigTexts(path)).map((one) => ({ ...one, ofBundle: true }));
  parseShape(texts, path);
  await holdAgainst(parsed.flags['config'], texts);
  const files = Object.fromEntries(texts.map((one) => [basename(one.file), one.text]));
  const jws = await signBundle({ name, serial, issuedAt: now, expiresAt: now + lifetimeMs, files }, key);
  const output = parsed.flags['output'];
  if (output === undefined) out(`${jws}\n`);
  else await writeFile(output, `${jws}\n`);
  return 0;
}

async function verify(args: readonly string[], { out }: CommandContext): Promise<number> {
  const parsed = parseArguments(args, ['keys', 'name', 'config']);
  const path = onePositional(parsed, 'BUNDLE');
  const keys = parsePinnedKeys(await readInput(required(parsed, 'keys')));
  const found = await verifyBundle(await readInput(path), keys, required(parsed, 'name'));
  const problem = timeProblem(found, systemClock.now());
  if (problem !== undefined) throw new BundleFault(problem);
  const texts = Object.entries(found.files).map(([file, one]) => ({ file, text: one, ofBundle: true }));
  parseShape(texts, path);
  await holdAgainst(parsed.flags['config'], texts);
  const expires = new Date(found.expiresAt).toISOString();
  out(
    `${path}: ok, ${found.name}, serial ${found.serial}, until ${expires}: ${Object.keys(found.files).join(', ')}\n`,
  );
  return 0;
}

/** Throws ConfigError. */
async function holdAgainst(local: string | undefined, texts: readonly ConfigText[]): Promise<void> {
  if (local !== undefined) await loadConfig(local, texts);
}

function onePositional({ positionals }: Arguments, what: string): string {
  const [first, ...rest] = positionals;
  if (first === undefined || rest.length > 0) throw new UsageError(`expected one ${what}`);
  return first;
}
