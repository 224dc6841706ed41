// Renewals before time of the whole fleet, counted in Redis by the rules that each process has for itself
// (credential/refusals.ts, credential/allowance.ts): of one credential, of one source, of one token endpoint.
import { CAP_FACTOR, LEAST_CAP_PER_HOUR } from '../credential/numbers.ts';
import {
  FIRST_IN_MS,
  LEAST_OF_SOURCE,
  OF_SOURCE,
  REPEAT_BURST,
  REPEAT_EVERY_MS,
} from '../credential/refusals.ts';
import { baseName, type EntryNames } from './name.ts';
import { BACKGROUND_MS, type Redis } from './redis.ts';

/**
 * KEYS endpoint, live credentials of the source, its repeats, last one of the credential, its repeats · ARGV 'came' or 'take',
 * calls an hour or '', the credential, milliseconds that it lives → 0 = counted or taken, else milliseconds until one may be.
 * Repeats by the generic cell rate algorithm: one number, the time when all of it is paid back. Times that cannot be, of a clock
 * that was ahead (a fail-over), count as now.
 */
const COUNT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function number_of(name, default) return tonumber(redis.call('HGET', KEYS[1], name) or default) end
local stated = tonumber(ARGV[2])
local refill = stated or ${LEAST_CAP_PER_HOUR}
local hour = math.floor(now / 3600000)
local came, before = number_of('came', 0), number_of('before', 0)
if number_of('hour', hour) ~= hour then
  before = number_of('hour', 0) == hour - 1 and came or 0
  came = 0
end
local paid = 0
if ARGV[1] == 'came' then
  came = came + 1
  if not stated then paid = ${CAP_FACTOR} end
  redis.call('ZADD', KEYS[2], now + ARGV[4], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ${24 * 3_600_000})
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local asked = came + before * (1 - now % 3600000 / 3600000)
local full = math.max(1, refill / 6, stated and 0 or ${CAP_FACTOR} * asked)
local passed = math.max(0, now - number_of('at', now)) * refill / 3600000
local left = math.max(0, math.min(full, number_of('left', refill / 6) + paid + passed))
local wait = 0
if ARGV[1] == 'take' then
  if left < 1 then wait = math.ceil((1 - left) * 3600000 / refill) end
  local charges = {}
  if redis.call('GET', KEYS[4]) then
    local of_source = math.max(${LEAST_OF_SOURCE}, math.floor(redis.call('ZCARD', KEYS[2]) * ${OF_SOURCE}))
    for _, limit in ipairs({{KEYS[3], of_source, 60000 / of_source}, {KEYS[5], ${REPEAT_BURST}, ${REPEAT_EVERY_MS}}}) do
      local due = math.max(now, tonumber(redis.call('GET', limit[1]) or '0'))
      if due > now + limit[2] * limit[3] then due = now end
      wait = math.max(wait, math.ceil(due - now - (limit[2] - 1) * limit[3]))
      charges[#charges + 1] = {limit[1], string.format('%.0f', due + limit[3]), math.ceil(limit[2] * limit[3])}
    end
  end
  if wait == 0 then
    left = left - 1
    redis.call('SET', KEYS[4], '1', 'PX', ${FIRST_IN_MS})
    for _, charge in ipairs(charges) do redis.call('SET', charge[1], charge[2], 'PX', charge[3]) end
  end
end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', string.format('%.0f', now), 'hour', tostring(hour), 'came', tostring(came), 'before', tostring(before))
redis.call('PEXPIRE', KEYS[1], 7200000)
return wait`;

export interface ForcedBudget {
  /** A credential came that lives so long, and not because an upstream refused the last one. */
  came(names: EntryNames, lifetimeMs: number): Promise<void>;
  /** 0 = taken, else milliseconds until there is one. undefined = Redis is away: the limits of this process hold. */
  take(names: EntryNames): Promise<number | undefined>;
}

/** `perHour` = of the endpoint as configured; undefined = by what its credentials ask for. */
export function createForcedBudget(
  redis: Redis,
  tenant: string,
  endpoint: string,
  perHour: number | undefined,
): ForcedBudget {
  const base = baseName(tenant, JSON.stringify(['forced', endpoint]));

  async function count(what: 'came' | 'take', { credential, source }: EntryNames, lifetimeMs: number) {
    const keys = [
      ...[`${base}:calls`, `${base}:live:${source}`, `${base}:repeats:${source}`],
      ...[`${base}:last:${credential}`, `${base}:repeats:${credential}:own`],
    ];
    const args = [what, String(perHour ?? ''), credential, String(Math.ceil(lifetimeMs))];
    const waitMs = await redis.run(COUNT, keys, args, BACKGROUND_MS);
    return typeof waitMs === 'number' ? waitMs : undefined;
  }

  return {
    async came(names, lifetimeMs) {
      await count('came', names, lifetimeMs);
    },
    take: (names) => count('take', names, 0),
  };
}
