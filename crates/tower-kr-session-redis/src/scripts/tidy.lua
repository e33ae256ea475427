-- Replaces entries (empty: removes them), each only if it is still the expected one (empty: any).

local key, now = KEYS[1], ARGV[1]

for argument = 2, #ARGV, 3 do
  local id, expected, entry = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
  if expected == '' or redis.call('HGET', key, id) == expected then
    if entry == '' then
      redis.call('HDEL', key, id)
    else
      redis.call('HSET', key, id, entry)
      local _, state, time = parts(entry)
      if state == 'until' then
        keep(key, tonumber(time) - tonumber(now))
      end
    end
  end
end
return {'tidied'}
