// What is told of the shared cache: `up` = it takes all that we ask, `restricted` = it answers, but refuses a part, `down` =
// it cannot be reached, is left alone, or refuses all. Only a check brings it up again: one script that does each thing once
// that bearerd does. So the state does not change with what happens to be asked.
import type { Clock, Timer } from '../lib/clock.ts';
import type { SharedCacheState } from '../telemetry/event-details.ts';
import type { Observer } from '../telemetry/observer.ts';
import type { FaultReasons } from './fault-reason.ts';

/** While nothing is wrong: for who asks nothing, and for what nobody has asked for yet. */
const EVERY_MS = 60_000;
/** While something is. */
const FAULTY_EVERY_MS = 2_000;
/** Between two, whatever is in doubt how often. */
const SPACING_MS = 500;

/**
 * KEYS text, hash, set, stream · ARGV channel → command and error reply of each that is refused. SET is first: a script that
 * wrote before is let go on where memory is full. Nothing stays behind.
 */
const CHECK = `
local refused = {}
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then refused[#refused + 1] = {(...), reply.err} end
end
try('SET', KEYS[1], '1', 'PX', 1000)
try('GET', KEYS[1])
try('PTTL', KEYS[1])
try('PEXPIRE', KEYS[1], 1000)
try('TIME')
try('HSET', KEYS[2], 'a', '1')
try('HGET', KEYS[2], 'a')
try('ZADD', KEYS[3], 1, 'a')
try('ZCARD', KEYS[3])
try('ZREMRANGEBYSCORE', KEYS[3], '-inf', 0)
try('XADD', KEYS[4], 'MAXLEN', '1', '*', 'a', '1')
try('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)
try('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)
try('PUBLISH', ARGV[1], '')
try('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
return refused`;

/** The script's answer, or the error reply; undefined = no answer. */
export type Answer = { readonly reply: unknown } | { readonly refused: unknown } | undefined;

export interface Health {
  /** It cannot be asked; the reason says what to change. */
  down(reason: string): void;
  /** It refused what is written. */
  restricted(reason: string): void;
  /** There is a connection, or it is in trouble, or refused something on this key: it is checked, where that key lies. */
  doubt(key?: string): void;
  /** Something was answered. */
  answered(): void;
  close(): void;
}

export interface HealthDeps {
  readonly run: (script: string, keys: readonly string[], args: readonly string[]) => Promise<Answer>;
  readonly tenant: string;
  readonly reasons: FaultReasons;
  readonly clock: Clock;
  readonly observer: Observer;
}

export function createHealth({ run, tenant, reasons, clock, observer }: HealthDeps): Health {
  const usual = `{check-${tenant}}`;
  /** Hash tag: which node of a cluster is checked. That of a refused call until it passes. */
  let tag = usual;
  let state: SharedCacheState | undefined;
  let reason: string | undefined;
  let timer: Timer | undefined;
  let checking = false;
  let again = false;
  let checkedAt = Number.NEGATIVE_INFINITY;
  let closed = false;

  function become(next: SharedCacheState, why?: string): void {
    if (closed || (state === next && reason === why)) return;
    [state, reason] = [next, why];
    observer.sharedCacheChanged(next, why);
  }

  async function check(): Promise<void> {
    checking = true;
    again = false;
    checkedAt = clock.monotonic();
    const base = `bearerd:${tenant}:${tag}:check`;
    const keys = ['text', 'hash', 'set', 'stream'].map((type) => `${base}:${type}`);
    // Nobody subscribes to this channel: a check wakes nobody.
    const answer = await run(CHECK, keys, [`${base}:channel`]);
    checking = false;
    if (answer !== undefined) judge(answer);
    const isWell = answer !== undefined && state === 'up';
    if (isWell && !again) tag = usual;
    plan(again ? SPACING_MS : isWell ? EVERY_MS : FAULTY_EVERY_MS);
  }

  function judge(answer: NonNullable<Answer>): void {
    if ('refused' in answer) return become('down', reasons.of(answer.refused));
    const refused = refusedCommands(answer.reply);
    if (refused === undefined) return become('down', reasons.senseless);
    if (refused.length === 0) return become('up');
    const canRead = refused.every(([command]) => command !== 'GET');
    become(canRead ? 'restricted' : 'down', reasons.ofCommands(refused));
  }

  function plan(delayMs: number): void {
    timer?.cancel();
    if (!closed) timer = clock.setTimer(() => void check(), delayMs);
  }

  function doubt(key?: string): void {
    tag = (key && /\{[^}]+\}/.exec(key)?.[0]) ?? tag;
    again = checking;
    if (!checking) plan(checkedAt + SPACING_MS - clock.monotonic());
  }

  return {
    down: (why) => become('down', why),
    restricted: (why) => become('restricted', why),
    doubt,
    answered() {
      if (state === 'down' && !checking) doubt();
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

function refusedCommands(reply: unknown): readonly (readonly [string, string])[] | undefined {
  if (!Array.isArray(reply)) return undefined;
  const all = reply as readonly unknown[];
  const isRefusal = (one: unknown): one is [string, string] =>
    Array.isArray(one) && typeof one[0] === 'string' && typeof one[1] === 'string';
  return all.every(isRefusal) ? all : undefined;
}
