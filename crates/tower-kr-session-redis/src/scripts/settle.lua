-- Notes that the record carries the owner now, unless the session was revoked since its sign-in was
-- announced.

local key, id, announced, authenticated_at, deadline, now = KEYS[1], unpack(ARGV)

local count, entry = count_revocations(key), redis.call('HGET', key, id)
local written = parts(entry)
-- The entry says so if it is still the sign-in's own: a revocation that spares the session raises
-- its count.
local is_own = string.match(entry or '', ':.*') == string.match(announced, ':.*')
if not is_own and parts(announced) < count or written and written < count
    or not written and is_too_old(key, authenticated_at) then
  return {'revoked'}
end
hold(key, id, entry, count, deadline, now)
return {'settled'}
