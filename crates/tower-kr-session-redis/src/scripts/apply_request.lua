-- What `apply` is asked. After the packed request come the fields that the delta is about: those to
-- set, those to remove, and that of the operation, each of them once; then the values to set, the
-- operands, and what is rare as names and values.

-- More arguments than this at once could exceed Lua's stack. An even number, so that pairs stay
-- together.
local CHUNK = 1000

local key = KEYS[1]
local first_contact, now, max_bytes, secret, sets, removals, clear, operation, current_is =
  struct.unpack('<dddc32I4I4BBB', ARGV[1])
local fields = sets + removals
if operation ~= 0 then
  fields = fields + 1
end

local found = redis.pcall('HMGET', key, 'head', 'life', unpack(ARGV, 2, math.min(fields, CHUNK) + 1))
