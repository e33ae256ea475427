-- Puts entries back to what they were before (empty: removes them), each only if it is still the expected one (empty: any).

local key, now = KEYS[1], ARGV[1]

for argument = 2, #ARGV, 3 do
  local id, expected, previous = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
  if expected == '' or redis.call('HGET', key, id) == expected then
    if previous == '' then
      redis.call('HDEL', key, id)
    else
      redis.call('HSET', key, id, previous)
    end
  end
end
if redis.call('EXISTS', key) == 1 then
  keep(key, tonumber(now))
end
return {'restored'}
