-- The index of an owner is one hash: `not_before` (sign-ins that were checked until then are revoked), and for each session
-- id one of these:
--   pending:AT:NONCE  a sign-in is on its way, or was given up
--   until:DEADLINE    the record carries this owner, and its absolute deadline
--   revoked:AT        to be removed, whoever meets it

local NOT_BEFORE = 'not_before'
local DAY = 24 * 60 * 60 * 1000

local function is_revoked(entry)
  return string.sub(entry, 1, 8) == 'revoked:'
end

-- Drops what is past its absolute deadline, and sets how long Redis keeps the rest.
local function keep(key, now)
  local latest, pending = now, false
  local past = {}
  local index = redis.call('HGETALL', key)
  for position = 1, #index, 2 do
    local id, entry = index[position], index[position + 1]
    local state, time = string.match(entry, '^(%a+):(%-?%d+)')
    time = tonumber(time)
    if id == NOT_BEFORE then
      latest = math.max(latest, tonumber(entry) + DAY)
    elseif state == 'until' then
      if time + DAY < now then
        past[#past + 1] = id
      else
        latest = math.max(latest, time)
      end
    elseif state == 'revoked' then
      latest = math.max(latest, time + DAY)
    else
      pending = true
    end
  end
  call_in_chunks('HDEL', key, past, 1)
  if pending then
    redis.call('PERSIST', key)
  else
    redis.call('PEXPIRE', key, lifetime(latest - now))
  end
end
