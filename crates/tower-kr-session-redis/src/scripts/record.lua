-- A session is one hash: the record in fields of plain names, the values in fields that begin with `v:`.

local RETIRED_FOR = '60000'
local VALUE_PREFIX = 'v:'

-- More arguments than this at once could exceed Lua's stack.
local CHUNK = 1000

local NAMES = {
  'version', 'secret', 'retired', 'retired_at', 'owner', 'created_at', 'authenticated_at', 'idle_timeout',
  'touch_interval', 'absolute_timeout', 'persistent', 'idle_deadline', 'absolute_deadline', 'size',
}

local function is_secret(text)
  return #text == 64 and not string.find(text, '[^0-9a-f]')
end

local function is_flag(text)
  return text == '1'
end

local function is_duration(text)
  return is_integer(text) and string.byte(text) ~= 45
end

local CHECKS = {
  {'secret', is_secret}, {'created_at', is_integer}, {'idle_timeout', is_duration}, {'touch_interval', is_duration},
  {'absolute_timeout', is_duration}, {'idle_deadline', is_integer}, {'absolute_deadline', is_integer},
  {'size', is_duration},
}
local OPTIONAL_CHECKS = {
  {'retired', is_secret}, {'retired_at', is_integer}, {'authenticated_at', is_integer}, {'persistent', is_flag},
}

-- The record without its values; or nothing and the reply that says why.
local function read(key)
  local fields = redis.pcall('HMGET', key, unpack(NAMES))
  if fields.err then
    if string.find(fields.err, 'WRONGTYPE', 1, true) then
      return nil, {'corrupt', 'type'}
    end
    return nil, fields
  end
  local record = {}
  for index, name in ipairs(NAMES) do
    record[name] = fields[index] or nil
  end
  if not record.version and redis.call('EXISTS', key) == 0 then
    return nil, {'missing'}
  end
  if record.version ~= '1' then
    -- A number of a byte is a later release's; anything else is damage.
    if record.version and is_duration(record.version) and #record.version <= 3 and tonumber(record.version) <= 255 then
      return nil, {'version', record.version}
    end
    return nil, {'corrupt', 'version'}
  end
  for _, check in ipairs(CHECKS) do
    if not record[check[1]] or not check[2](record[check[1]]) then
      return nil, {'corrupt', check[1]}
    end
  end
  for _, check in ipairs(OPTIONAL_CHECKS) do
    if record[check[1]] and not check[2](record[check[1]]) then
      return nil, {'corrupt', check[1]}
    end
  end
  if not record.retired ~= not record.retired_at then
    return nil, {'corrupt', 'retired'}
  end
  return record
end

local function is_expired(record, first_contact, now)
  return not less(first_contact, record.idle_deadline) or not less(now, record.absolute_deadline)
end

-- What the holder of a token is to the record: `admitted`, `superseded` or `missing`.
local function standing(record, secret, first_contact, now)
  if is_expired(record, first_contact, now) then
    return 'missing'
  end
  if record.secret == secret then
    return 'admitted'
  end
  if record.retired == secret and less(now, saturating_add(record.retired_at, RETIRED_FOR)) then
    return 'superseded'
  end
  return 'missing'
end

-- Calls a command with all arguments, as many at a time as Lua can pass.
local function call_in_chunks(command, key, arguments)
  for first = 1, #arguments, CHUNK do
    redis.call(command, key, unpack(arguments, first, math.min(first + CHUNK - 1, #arguments)))
  end
end
