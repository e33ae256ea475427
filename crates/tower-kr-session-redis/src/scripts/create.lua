-- Stores a new record, given as its fields and values, unless there is something of this name.

local key, left = KEYS[1], ARGV[1]

if redis.call('EXISTS', key) == 1 then
  return {'exists'}
end
call_in_chunks('HSET', key, ARGV, 2)
redis.call('PEXPIRE', key, left)
return {'created'}
