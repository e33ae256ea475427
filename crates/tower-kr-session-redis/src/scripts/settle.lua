-- After the record carries the owner: notes its deadline, or finds that the session was revoked meanwhile.

local key, now, id, entry, deadline = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local found = redis.call('HGET', key, id)
if not found or is_revoked(found) then
  return {'revoked'}
end
-- Another sign-in that is on its way settles by itself.
if found == entry then
  redis.call('HSET', key, id, 'until:' .. deadline)
  keep(key, tonumber(now))
end
return {'settled'}
