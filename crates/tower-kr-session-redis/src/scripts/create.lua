-- Stores a new record, given as its fields and values, unless there is something of this name.

local key, now, deadline = KEYS[1], ARGV[1], ARGV[2]

if redis.call('EXISTS', key) == 1 then
  return {'exists'}
end
local fields = {}
for argument = 3, #ARGV do
  fields[argument - 2] = ARGV[argument]
end
call_in_chunks('HSET', key, fields)
redis.call('PEXPIRE', key, lifetime(now, deadline))
return {'created'}
