-- Stores a new record, given as its fields and values, unless there is something of this name.

local key, left = KEYS[1], ARGV[1]

-- More arguments than this at once could exceed Lua's stack. An even number, so that pairs stay
-- together.
local CHUNK = 1000

if redis.call('EXISTS', key) == 1 then
  return 'exists'
end
for from = 2, #ARGV, CHUNK do
  redis.call('HSET', key, unpack(ARGV, from, math.min(from + CHUNK - 1, #ARGV)))
end
redis.call('PEXPIRE', key, left)
-- A text, which takes less than a list.
return 'created'
