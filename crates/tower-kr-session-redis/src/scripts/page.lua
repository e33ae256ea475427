-- Replies with some entries: where to go on (`0`: nowhere), the number of revocations, when the
-- last one was (empty: never), and ids and entries.

local key, cursor = KEYS[1], ARGV[1]

local page = redis.call('HSCAN', key, cursor, 'COUNT', 64)
local reply = {page[1], tostring(count_revocations(key)), redis.call('HGET', key, 'not_before') or ''}
for position = 1, #page[2], 2 do
  local field = page[2][position]
  if is_entry(field) then
    reply[#reply + 1] = field
    reply[#reply + 1] = page[2][position + 1]
  end
end
return reply
