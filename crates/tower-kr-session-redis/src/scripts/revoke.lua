-- Marks all sessions of an owner but one as revoked, and turns away every sign-in that was checked until now.
-- Replies with each id, its entry from before, and its mark.

local key, now, except = KEYS[1], ARGV[1], ARGV[2]

-- A full server refuses a script's first write if it may take memory, and a revocation must not wait for memory.
redis.call('HDEL', key, '')
local not_before = redis.call('HGET', key, NOT_BEFORE)
if not not_before or tonumber(not_before) < tonumber(now) then
  redis.call('HSET', key, NOT_BEFORE, now)
end
local revoked, marks = {}, {}
local index = redis.call('HGETALL', key)
for position = 1, #index, 2 do
  local id, entry = index[position], index[position + 1]
  if id ~= NOT_BEFORE and id ~= except then
    local mark = is_revoked(entry) and entry or 'revoked:' .. now
    marks[#marks + 1] = id
    marks[#marks + 1] = mark
    revoked[#revoked + 1] = id
    revoked[#revoked + 1] = entry
    revoked[#revoked + 1] = mark
  end
end
call_in_chunks('HSET', key, marks, 1)
keep(key, tonumber(now))
return revoked
