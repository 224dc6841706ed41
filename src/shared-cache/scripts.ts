// What happens inside Redis, each at once. Keys of one script share a hash tag, and so a slot of a cluster.
// Sent whole each time (some hundred bytes): no script cache that a restart or a failover could empty.

/** Far above a sealed token of 16 KiB: a foreign value must not be carried here. */
export const MAX_ENTRY_BYTES = 65_536;
/** Far above a name and a fence. */
const MAX_MESSAGE_BYTES = 512;
/** Longer than any entry lives, so that a writer that slept for hours finds that others wrote since. */
const FENCES_MS = 25 * 3_600_000;

/**
 * KEYS entry, lease, fences · ARGV holder, milliseconds, 'absent' (a lease only where no entry is) or 'always'
 * → entry or false, milliseconds until it ends, the fence where the lease was granted or '0', age of another's lease or -1.
 * Fences are microseconds of Redis's clock, or the last one and one more: they grow also after a flush.
 */
export const TAKE = `
local entry = redis.pcall('GET', KEYS[1])
if type(entry) ~= 'string' or #entry > ${MAX_ENTRY_BYTES} then entry = false end
local left = -2
if entry then left = redis.call('PTTL', KEYS[1]) end
if entry and ARGV[3] == 'absent' then return {entry, left, '0', -1} end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {entry, left, '0', tonumber(ARGV[2]) - redis.call('PTTL', KEYS[2])}
end
local time = redis.call('TIME')
local fence = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', KEYS[3], 'granted') or '0')
if fence <= last then fence = last + 1 end
local text = string.format('%.0f', fence)
redis.call('HSET', KEYS[3], 'granted', text)
redis.call('PEXPIRE', KEYS[3], ${FENCES_MS})
return {entry, left, text, -1}`;

/** KEYS entry, lease, fences · ARGV holder, fence, entry, milliseconds → 1 = written, 0 = a higher fence has written. */
export const WRITE = `
local written = 0
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[3], 'written') or '0') then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
  redis.call('HSET', KEYS[3], 'written', ARGV[2])
  redis.call('PEXPIRE', KEYS[3], ${FENCES_MS})
  written = 1
end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return written`;

/** KEYS lease · ARGV holder. */
export const RELEASE = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`;

/** KEYS stream · ARGV key of the entry, fence, channel. The channel only wakes. */
export const ANNOUNCE = `
redis.call('XADD', KEYS[1], 'MAXLEN', '~', 1000, '*', 'entry', ARGV[1], 'fence', ARGV[2])
redis.call('PUBLISH', ARGV[3], '')
return 1`;

/**
 * KEYS stream · ARGV last seen id, '' = none yet → id of the last message, or '0-0', and entry and fence of each after the one seen.
 * A stream that has nothing after it and another last one began anew (a flush, a fail-over, an id that somebody planted): all of it.
 */
export const HEARD = `
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not newest then return {'0-0', {}} end
if ARGV[1] == '' or ARGV[1] == newest[1] then return {newest[1], {}} end
local messages = redis.pcall('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', 1000)
if messages.err or #messages == 0 then messages = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1000) end
local heard = {}
for _, message in ipairs(messages) do
  local entry, fence = message[2][2], message[2][4]
  if fence and #entry + #fence <= ${MAX_MESSAGE_BYTES} then heard[#heard + 1] = {entry, fence} end
end
return {messages[#messages][1], heard}`;
