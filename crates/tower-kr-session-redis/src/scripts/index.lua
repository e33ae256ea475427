-- Announces that a session is about to carry this owner. Empty `authenticated_at`: it does already, and only its deadline moves.

local key, id, entry, authenticated_at = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local previous = redis.call('HGET', key, id)
if authenticated_at ~= '' then
  local not_before = redis.call('HGET', key, NOT_BEFORE)
  if not_before and tonumber(authenticated_at) <= tonumber(not_before) then
    return {'revoked'}
  end
elseif previous and is_revoked(previous) then
  return {'revoked'}
end
redis.call('HSET', key, id, entry)
-- The deadline isn't known yet.
redis.call('PERSIST', key)
return {'indexed', previous or ''}
