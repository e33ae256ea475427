-- Finds out whether a session that carries this owner was revoked. If not, it is in the index
-- afterwards, until its deadline. An entry decides. If there is none (it was lost, or an older
-- release wrote it), the time of the sign-in does; as it does for who signs in again, which is a
-- new proof and takes a revocation back.

local key, id, authenticated_at, signs_in, deadline, now = KEYS[1], unpack(ARGV)

local count, entry = count_revocations(key), redis.call('HGET', key, id)
local written = parts(entry)
local revoked
if signs_in == '1' or not written then
  revoked = is_too_old(key, authenticated_at)
else
  revoked = written < count
end
if revoked then
  return {'revoked'}
end
hold(key, id, entry, count, deadline, now)
return {'held'}
