// bearerd revoke: one line more in the revocation list. Every sidecar that follows the file refuses from then on.
import type { SharedCacheConfig } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { appendRevocation, parseRevocationLines } from '../inbound/revocation-file.ts';
import { systemClock } from '../lib/clock.ts';
import { createRedis } from '../shared-cache/redis.ts';
import { createSharedMarks } from '../shared-cache/shared-marks.ts';
import { nullObserver, type Observer } from '../telemetry/observer.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

const FIELDS = {
  jti: 'jti',
  sub: 'sub',
  sid: 'sid',
  'client-id': 'client_id',
  issuer: 'issuer',
  'issued-before': 'issued_before',
  expires: 'expires_at',
  reason: 'reason',
} as const;
const LOST =
  'the shared list was empty: if it had revocations, Redis lost them, and a bearerd that starts from now on does not know them. Revoke again what must stay revoked';
const NARROWING = ['jti', 'sub', 'sid', 'client-id', 'issued-before'];

export const revoke: Command = {
  help: `Usage: bearerd revoke --config FILE WHAT [options]

Appends to the list of inbound.revocation: its file, or with shared: true the one in Redis. Tokens that fit all that is
stated are refused within a second by every bearerd that follows it.

WHAT, at least one:
  --jti ID                one token
  --sub SUBJECT           all tokens of a person or service
  --sid SESSION           all tokens of a session
  --client-id CLIENT      all tokens of a client
  --issued-before DATE    all that were issued before, e.g. 2026-01-31T12:00:00Z or now

Options:
  --issuer NAME           only of this issuer of the configuration
  --expires DATE          when the revocation is not needed any more (the token's own end)
  --reason TEXT           for whoever reads the list

Examples:
  bearerd revoke --config bearerd.yaml --jti 3f2a --expires 2026-01-31T12:00:00Z
  bearerd revoke --config bearerd.yaml --sub alice --issued-before now --reason "laptop lost"

Exit code 0 = written, 1 = not.
`,
  async run(args, { out, err, env }) {
    const parsed = parseArguments(args, ['config', ...Object.keys(FIELDS)]);
    refusePositionals(parsed);
    if (!NARROWING.some((flag) => parsed.flags[flag] !== undefined)) {
      throw new UsageError(`expected at least one of ${NARROWING.map((flag) => `--${flag}`).join(', ')}`);
    }
    const config = await loadConfig(required(parsed, 'config'));
    const list = config.inbound?.revocation;
    if (list === undefined) {
      err('the configuration has no inbound.revocation\n');
      return 1;
    }
    const issuer = parsed.flags['issuer'];
    if (issuer !== undefined && !config.inbound!.issuers.some(({ name }) => name === issuer)) {
      err(`the configuration has no issuer named "${issuer}"\n`);
      return 1;
    }
    const now = new Date(systemClock.now()).toISOString();
    const entry: Record<string, string> = { revoked_at: now };
    for (const [flag, field] of Object.entries(FIELDS)) {
      const value = parsed.flags[flag];
      if (value !== undefined) entry[field] = value === 'now' && flag === 'issued-before' ? now : value;
    }
    const line = JSON.stringify(entry);
    if (!isRevocation(line)) {
      err('a date is not as expected: write 2026-01-31T12:00:00Z\n');
      return 1;
    }
    if (list.file !== undefined) {
      try {
        await appendRevocation(list.file, line);
      } catch (error) {
        err(`${list.file}: ${(error as Error).message}\n`);
        return 1;
      }
    } else {
      let reason = 'no answer, or no right to write (+rpush)';
      const count = await appendShared(config.sharedCache!, line, env, (_state, why) => {
        reason = why ?? reason;
      });
      if (count === undefined) {
        err(`Redis did not take it: ${reason}\n`);
        return 1;
      }
      if (count === 1) err(`${LOST}\n`);
    }
    out(`${list.file ?? 'shared list'}: ${line}\n`);
    return 0;
  },
};

function isRevocation(line: string): boolean {
  try {
    parseRevocationLines(line);
    return true;
  } catch {
    return false;
  }
}

async function appendShared(
  { redis: settings, tenant }: SharedCacheConfig,
  line: string,
  env: Readonly<Record<string, string | undefined>>,
  sharedCacheChanged: Observer['sharedCacheChanged'],
): Promise<number | undefined> {
  const observer = { ...nullObserver, sharedCacheChanged };
  const redis = createRedis(settings, {
    ...{ clock: systemClock, env, observer, random: Math.random, tenant },
    woken() {},
  });
  const count = await createSharedMarks(redis, tenant).revoke(line);
  redis.close();
  return count;
}
