-- Revokes all sessions of an owner but one, and every sign-in that was checked until now. Replies
-- with the number of revocations: entries that were written under a lower one are revoked, and
-- whoever meets them ends their sessions.

local key, now, except = KEYS[1], ARGV[1], ARGV[2]

-- No cookie lives longer in a browser, so no session comes back after that.
local REMEMBERED = 400 * 24 * 60 * 60 * 1000

-- A full server refuses a script's first write if it may take memory, and a revocation must not
-- wait for memory.
redis.call('HDEL', key, '')
local count = redis.call('HINCRBY', key, 'revocations', 1)
if not is_too_old(key, now) then
  redis.call('HSET', key, 'not_before', now)
end
if except ~= '' then
  local entry = redis.call('HGET', key, except)
  local written = parts(entry)
  -- One that an earlier revocation meant stays revoked. One that the index lost is looked at when
  -- it is met.
  if not written or written == count - 1 then
    local rest = written and string.match(entry, ':(.*)') or 'until:' .. now
    redis.call('HSET', key, except, string.format('%d:%s', count, rest))
  end
end
keep(key, REMEMBERED)
return {tostring(count)}
